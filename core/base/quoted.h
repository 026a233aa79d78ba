// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_QUOTED_H_
#define ATTEND_CORE_BASE_QUOTED_H_

#include <string>

#include "absl/strings/string_view.h"

namespace attend {

// `text`, which may come from any source, in the form that error messages show: between double
// quotes, escaped as in C, and cut after 120 bytes.
std::string Quoted(absl::string_view text);

}  // namespace attend

#endif  // ATTEND_CORE_BASE_QUOTED_H_
