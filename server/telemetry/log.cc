// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "absl/strings/str_cat.h"
#include "server/telemetry/log_quoted.h"

namespace attend {
namespace {

std::atomic<LogFormat> log_format{LogFormat::kText};

std::shared_ptr<spdlog::logger> MakeLogger(LogFormat format) {
  auto logger =
      std::make_shared<spdlog::logger>("attend", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern(format == LogFormat::kJson
                          ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                          : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                      spdlog::pattern_time_type::utc);
  return logger;
}

// Never destroyed: gRPC has threads that log after main has returned.
std::shared_ptr<spdlog::logger>& Logger() {
  static auto* const logger = new std::shared_ptr<spdlog::logger>(MakeLogger(LogFormat::kText));
  return *logger;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void SetUpLog(LogFormat format, LogLevel level) {
  log_format = format;
  Logger() = MakeLogger(format);
  Logger()->set_level(ToSpdlog(level));
}

std::string FormatLine(LogFormat format, absl::string_view message,
                       absl::Span<const LogField> fields) {
  const bool json = format == LogFormat::kJson;
  std::string line = json ? absl::StrCat("\"message\":", LogQuoted(message)) : std::string(message);
  for (const auto& [key, value] : fields) {
    absl::StrAppend(&line, json ? "," : " ", json ? LogQuoted(key) : std::string(key),
                    json ? ":" : "=", LogQuoted(value));
  }
  return line;
}

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  Log(level, message, absl::Span<const LogField>(fields.begin(), fields.size()));
}

void Log(LogLevel level, absl::string_view message, absl::Span<const LogField> fields) {
  const auto spdlog_level = ToSpdlog(level);
  if (!Logger()->should_log(spdlog_level)) return;
  Logger()->log(spdlog_level, spdlog::string_view_t(FormatLine(log_format, message, fields)));
}

}  // namespace attend
