// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_LOG_H_
#define ATTEND_SERVER_TELEMETRY_LOG_H_

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attend {

enum class LogFormat { kText, kJson };
enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Where lines go and how they look: standard error, one line an event. Call
// once at start; before, lines are text at level info.
void SetUpLog(LogFormat format, LogLevel level);

// A line with a fixed message and fields, as text
//   2024-05-01T12:00:00.000Z info listening address="0.0.0.0:50051"
// or as one JSON object with the keys time, level, message and the fields'.
// Thread-safe, until the last thread ends. Never holds a caller's data.
using LogField = std::pair<absl::string_view, std::string>;
void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields = {});
void Log(LogLevel level, absl::string_view message, absl::Span<const LogField> fields);

// The line without time and level; for Log and its tests.
std::string FormatLine(LogFormat format, absl::string_view message,
                       absl::Span<const LogField> fields);

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_LOG_H_
