// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_TEXT_LINES_H_
#define ATTEND_SERVER_CONFIG_TEXT_LINES_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace attend {

// Calls `read` for each line of a file's text, in order, without the white space around it. Empty
// lines and lines that begin with # are left out. `place` is "PATH:NUMBER: ", which begins errors.
void ForEachLine(absl::string_view text, absl::string_view path,
                 absl::FunctionRef<void(absl::string_view line, const std::string& place)> read);

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_TEXT_LINES_H_
