// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/grpc_log.h"

#include <grpc/support/log.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace attend {
namespace {

constexpr int64_t kGrpcLinesPerSecond = 5;

// Never destroyed, as in log.cc.
GrpcLog& GlobalGrpcLog() {
  static auto* const log = new GrpcLog(
      Clock::Steady(), [](LogLevel level, absl::string_view message,
                          const std::vector<LogField>& fields) { Log(level, message, fields); });
  return *log;
}

// The innermost cause out of "UNKNOWN:Ssl handshake failed: ...:SSL routines::CAUSE {file:...}".
std::string Cause(absl::string_view text) {
  text = text.substr(0, text.find(" {"));
  if (const size_t library = text.rfind("::"); library != absl::string_view::npos) {
    text.remove_prefix(library + 2);
  } else if (const size_t code = text.find("UNKNOWN:"); code != absl::string_view::npos) {
    text.remove_prefix(code + 8);
  }
  return std::string(text);
}

void Take(gpr_log_func_args* args) {
  GlobalGrpcLog().OnLine(args->message, args->severity == GPR_LOG_SEVERITY_ERROR);
}

}  // namespace

std::optional<std::pair<GrpcRefusal, std::string>> ReadGrpcLogLine(absl::string_view line,
                                                                   bool is_error) {
  const auto tells = [&](absl::string_view what) { return absl::StrContains(line, what); };
  // Both come before "Handshaking failed", which is the whole of the handshake.
  if (tells("Handshake failed with ") || tells("Security handshake failed")) return std::nullopt;
  if (tells("Handshaking failed: ")) {
    // A timeout is the cause of a cause where it ends a read, as in TLS.
    constexpr absl::string_view kLate = "Handshake timed out";
    if (tells(kLate)) return {{GrpcRefusal::kHandshakeTimeout, std::string(kLate)}};
    return {{GrpcRefusal::kHandshake, Cause(line)}};
  }
  if (tells("settings before handshake timeout")) {
    return {{GrpcRefusal::kHandshakeTimeout, Cause(line)}};
  }
  if (tells("too_many_pings")) return {{GrpcRefusal::kPings, Cause(line)}};
  if (tells("metadata size exceeds limit")) return {{GrpcRefusal::kHeaders, Cause(line)}};
  if (tells("Failed call creation")) return {{GrpcRefusal::kCall, Cause(line)}};
  // "Compression algorithm" or "Invalid compression algorithm".
  if (tells("ompression algorithm")) return {{GrpcRefusal::kCompression, Cause(line)}};
  if (is_error) return {{GrpcRefusal::kError, Cause(line)}};
  return std::nullopt;
}

GrpcLog::GrpcLog(const Clock& clock, Write write)
    : write_(std::move(write)), limit_(kGrpcLinesPerSecond, clock) {}

void GrpcLog::OnLine(absl::string_view line, bool is_error) {
  const auto refusal = ReadGrpcLogLine(line, is_error);
  if (!refusal) {
    write_(LogLevel::kDebug, "gRPC", {{"line", std::string(line)}});
    return;
  }
  const auto kind = static_cast<size_t>(refusal->first);
  ++refusals_[kind];
  const std::optional<int64_t> left_out = limit_.Admit();
  if (!left_out) return;
  write_(LogLevel::kWarning, "gRPC refused",
         {{"what", kGrpcRefusalNames[kind]},
          {"cause", refusal->second},
          {"lines_left_out", absl::StrCat(*left_out)}});
}

GrpcRefusalCounts GrpcLog::refusals() const {
  GrpcRefusalCounts counts{};
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = refusals_[i].load();
  return counts;
}

void TakeGrpcLog() {
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG);
  gpr_set_log_function(Take);
}

GrpcRefusalCounts GrpcRefusals() {
  return GlobalGrpcLog().refusals();
}

}  // namespace attend
