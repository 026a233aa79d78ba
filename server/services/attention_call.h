// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_
#define ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/engine/engine.h"
#include "server/codec/limits.h"
#include "server/codec/response_encoder.h"
#include "server/services/call_record.h"
#include "server/services/calls_in_flight.h"
#include "server/telemetry/metrics.h"

namespace attend {

// What bounds every call.
struct AttentionLimits {
  int64_t max_request_bytes = 0;
  absl::Duration max_deadline;
  DecodeLimits decode;
};

// How the messages of one method are read and written.
struct AttentionMethod {
  Method method;
  absl::StatusOr<Request> (*decode)(absl::Span<const absl::string_view> chunks,
                                    const DecodeLimits& limits);
  std::vector<EncodedPiece> (*encode)(const Response& response);
};

// One call. Deletes itself when gRPC is done with it.
//
// Threads: Start runs inside the service's handler, so nothing that gRPC calls
// can come before its end: OnCancel and OnDone see what it wrote. Finished runs
// on an executor's thread, or inside Start or OnCancel.
class AttentionCall final : public grpc::ServerUnaryReactor {
 public:
  AttentionCall(Engine& engine, Metrics& metrics, CallsInFlight& calls,
                const AttentionLimits& limits, const AttentionMethod& method,
                grpc::CallbackServerContext& context, grpc::ByteBuffer& response);

  // Reads `request`, releases its bytes, and gives it to the engine.
  void Start(grpc::ByteBuffer& request);

 private:
  ~AttentionCall() override { calls_.Remove(); }

  void OnCancel() override;
  void OnDone() override { delete this; }

  absl::Status Submit(grpc::ByteBuffer& buffer);
  absl::StatusOr<Request> Decode(const grpc::ByteBuffer& buffer, MemoryCharge& charge);
  void Finished(absl::StatusOr<Response> response);
  absl::Status Respond(Response response);

  Engine& engine_;
  Metrics& metrics_;
  CallsInFlight& calls_;
  const AttentionLimits& limits_;
  const AttentionMethod& method_;
  grpc::ByteBuffer& response_;
  CallRecord record_;
  const absl::Time deadline_;  // steady
  std::optional<Engine::Ticket> ticket_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_
