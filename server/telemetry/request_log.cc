// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/request_log.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/telemetry/refusal.h"

namespace attend {
namespace {

constexpr int64_t kLinesPerSecond = 10;

std::unique_ptr<RequestLog>& Global() {
  static std::unique_ptr<RequestLog> log;
  return log;
}

std::string Milliseconds(absl::Duration duration) {
  return absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(duration));
}

std::vector<LogField> MakeFields(const RequestEnd& end, int64_t left_out) {
  const RequestDetails& details = end.details;
  std::vector<LogField> fields = {{"request_id", std::string(end.request_id)},
                                  {"caller", std::string(end.caller)},
                                  {"method", std::string(end.method)}};
  const auto add = [&](absl::string_view key, std::string value) {
    if (!value.empty()) fields.emplace_back(key, std::move(value));
  };
  add("identity", std::string(end.identity));
  if (end.item) add("item", absl::StrCat(*end.item));
  add("layer", details.layer);
  add("code", absl::StatusCodeToString(end.code));
  add("reason", std::string(end.reason));
  add("bytes_in", absl::StrCat(details.bytes_in));
  add("bytes_out", absl::StrCat(details.bytes_out));
  add("total_ms", Milliseconds(end.duration));
  add("decode_ms", Milliseconds(details.decode));
  add("queue_ms", Milliseconds(details.queue));
  add("compute_ms", Milliseconds(details.compute));
  add("encode_ms", Milliseconds(details.encode));
  add("traceparent", std::string(end.traceparent));
  if (left_out > 0) add("lines_left_out", absl::StrCat(left_out));
  return fields;
}

}  // namespace

RequestLog::RequestLog(const RequestLogOptions& options, const Clock& clock, Write write)
    : options_(options),
      write_(std::move(write)),
      limits_{LogLimit(kLinesPerSecond, clock), LogLimit(kLinesPerSecond, clock),
              LogLimit(kLinesPerSecond, clock), LogLimit(kLinesPerSecond, clock)} {}

std::optional<RequestLog::Kind> RequestLog::Classify(const RequestEnd& end) {
  if (end.code == absl::StatusCode::kInternal) return Kind::kFailed;
  if (FindRefusal(end.code, end.reason).has_value()) return Kind::kRefused;
  if (options_.slow > absl::ZeroDuration() && end.duration >= options_.slow) return Kind::kSlow;
  if (options_.sample == 0) return std::nullopt;
  const uint64_t number = others_.fetch_add(1, std::memory_order_relaxed);
  if (number % static_cast<uint64_t>(options_.sample) != 0) return std::nullopt;
  return Kind::kSampled;
}

void RequestLog::OnEnd(const RequestEnd& end) {
  const std::optional<Kind> kind = Classify(end);
  if (!kind) return;
  const auto index = static_cast<size_t>(*kind);
  const std::optional<int64_t> left_out = limits_[index].Admit();
  if (!left_out) return;
  constexpr std::pair<LogLevel, const char*> kLines[] = {{LogLevel::kError, "request failed"},
                                                         {LogLevel::kWarning, "request refused"},
                                                         {LogLevel::kWarning, "request was slow"},
                                                         {LogLevel::kInfo, "request"}};
  write_(kLines[index].first, kLines[index].second, MakeFields(end, *left_out));
}

void SetUpRequestLog(const RequestLogOptions& options) {
  Global() = std::make_unique<RequestLog>(
      options, Clock::Steady(),
      [](LogLevel level, absl::string_view message, const std::vector<LogField>& fields) {
        Log(level, message, fields);
      });
}

void LogRequestEnd(const RequestEnd& end) {
  if (Global() != nullptr) Global()->OnEnd(end);
}

}  // namespace attend
