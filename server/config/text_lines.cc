// SPDX-License-Identifier: Apache-2.0
#include "server/config/text_lines.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace attend {

void ForEachLine(absl::string_view text, absl::string_view path,
                 absl::FunctionRef<void(absl::string_view line, const std::string& place)> read) {
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || absl::StartsWith(line, "#")) continue;
    read(line, absl::StrCat(path, ":", number, ": "));
  }
}

}  // namespace attend
