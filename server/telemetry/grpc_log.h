// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_GRPC_LOG_H_
#define ATTEND_SERVER_TELEMETRY_GRPC_LOG_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "server/telemetry/log.h"
#include "server/telemetry/log_limit.h"

namespace attend {

// What gRPC refuses on its own, before a service sees a call. It tells nobody but its log.
enum class GrpcRefusal {
  kHandshake,         // of TLS, or of a peer that does not speak it
  kHandshakeTimeout,  // of TLS or HTTP/2
  kPings,             // more than SetTransport allows
  kHeaders,           // of a call, over GRPC_ARG_MAX_METADATA_SIZE
  kCall,              // without the headers that a call must have
  kCompression,       // of a message, which SetTransport switches off
  kError,             // anything else that it reports as an error
};
inline constexpr std::array<const char*, 7> kGrpcRefusalNames = {
    "handshake", "handshake_timeout", "pings", "headers", "call", "compression", "error"};

// What a line of gRPC's log tells of, if of any refusal, and why it was. The texts are those of
// gRPC 1.51 and tested against it.
std::optional<std::pair<GrpcRefusal, std::string>> ReadGrpcLogLine(absl::string_view line,
                                                                   bool is_error);

using GrpcRefusalCounts = std::array<int64_t, kGrpcRefusalNames.size()>;  // by the enum's order

// Passes gRPC's lines on: refusals as warnings, five in a second at most, all others at level
// debug. Counts every refusal. Thread-safe.
class GrpcLog {
 public:
  using Write =
      std::function<void(LogLevel level, absl::string_view message, std::vector<LogField> fields)>;

  // `clock` outlives the log.
  GrpcLog(const Clock& clock, Write write);

  void OnLine(absl::string_view line, bool is_error);
  GrpcRefusalCounts refusals() const;

 private:
  const Write write_;
  LogLimit limit_;
  std::array<std::atomic<int64_t>, kGrpcRefusalNames.size()> refusals_{};
};

// From here on gRPC's lines go through a GrpcLog to Log. To be called before gRPC is used; for the
// whole process.
void TakeGrpcLog();

// How often each was seen since TakeGrpcLog.
GrpcRefusalCounts GrpcRefusals();

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_GRPC_LOG_H_
