// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_LOG_QUOTED_H_
#define ATTEND_SERVER_TELEMETRY_LOG_QUOTED_H_

#include <string>

#include "absl/strings/string_view.h"

namespace attend {

// The text as a JSON string (RFC 8259, section 7), quotes included, for lines that people read in a
// terminal as well. Characters that a terminal obeys or does not show are escaped: C0, DEL, C1,
// separators of lines, characters that set the direction of text or are invisible. A byte that is
// not UTF-8 becomes the four characters "\xNN". The result is valid UTF-8.
std::string LogQuoted(absl::string_view text);

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_LOG_QUOTED_H_
