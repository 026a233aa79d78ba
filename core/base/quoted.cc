// SPDX-License-Identifier: Apache-2.0
#include "core/base/quoted.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace attend {

std::string Quoted(absl::string_view text) {
  constexpr size_t kMaxShown = 120;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxShown)),
                      text.size() > kMaxShown ? "...\"" : "\"");
}

}  // namespace attend
