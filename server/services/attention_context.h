// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_ATTENTION_CONTEXT_H_
#define ATTEND_SERVER_SERVICES_ATTENTION_CONTEXT_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/caller_table.h"
#include "core/engine/engine.h"
#include "proto/wire/bytes.h"
#include "server/calls/caller.h"
#include "server/calls/calls_in_flight.h"
#include "server/calls/deadline_timer.h"
#include "server/codec/limits.h"
#include "server/codec/response_encoder.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/request_end.h"

namespace attend {

// What bounds every request.
struct AttentionLimits {
  int64_t max_request_bytes = 0;
  absl::Duration max_deadline;
  DecodeLimits decode;
  size_t max_pipelined = 256;  // requests of one stream that are not answered yet
};

// How the messages of one kind of request are read and written.
struct AttentionMethod {
  Method method;
  absl::StatusOr<Request> (*decode)(const WireBytes& message, const DecodeLimits& limits);
  std::vector<EncodedPiece> (*encode)(const Response& response);
};
extern const AttentionMethod kMultiHeadAttentionMethod;
extern const AttentionMethod kScaledDotProductAttentionMethod;

class PipelineCalls;

// What calls use. All of it outlives gRPC's server; the engine and the metrics
// also outlive the end of the engine's last request.
struct AttentionContext {
  Engine& engine;
  Metrics& metrics;
  CallsInFlight& calls;
  DeadlineTimer& timer;
  CallerTable& callers;
  PipelineCalls& pipelines;
  AttentionLimits limits;
  // Connections::EndIfStalled, called every kReturnTime; may be empty.
  std::function<void(absl::string_view peer)> end_if_stalled;
};

// Reads a request after it has charged the bytes of its message to the caller: nothing is allocated
// before. Then charges its lists, which may take more memory than their bytes of the message.
// `message_bytes` is more than the size of `request` where that is a part of the message.
// `identity`, which may be nullptr, has its quota charged. RESOURCE_EXHAUSTED TOO_LARGE, and the
// errors of MemoryBudget::Charge, of the decoder and of CheckPriority.
absl::StatusOr<Request> DecodeRequest(const AttentionContext& context,
                                      const AttentionMethod& method, const WireBytes& request,
                                      size_t message_bytes, CallerId caller,
                                      const std::shared_ptr<const Identity>& identity,
                                      MemoryCharge& charge);

// Describes a request for the log: what is known once its message of so many bytes was read, or
// not.
RequestDetails DescribeRequest(const absl::StatusOr<Request>& request, size_t message_bytes,
                               absl::Duration decode);
// Adds what is known once the engine has ended it, and what its answer has.
void DescribeEnd(const absl::StatusOr<Response>& response, absl::Time submitted,
                 RequestDetails& details);

// Observes how long a request waited and was computed, or, if it was never computed, waited until
// it was cancelled or expired. `submitted` is a steady time.
void ObserveStages(Metrics& metrics, const absl::StatusOr<Response>& response,
                   absl::Time submitted);

// A response for as long as gRPC holds any byte of it, which may be longer than the call: a peer
// that does not read its socket leaves it there. The caller's id is held for as long, because
// another caller would inherit it together with what is still charged to it.
class HeldResponse;

// The bytes of an answer, which borrow its results.
struct EncodedAnswer {
  grpc::ByteBuffer bytes;
  std::weak_ptr<HeldResponse> response;
  absl::Duration encode = absl::ZeroDuration();  // the time that it took to make
};

// `encode` makes the message's pieces. DEADLINE_EXCEEDED if it is too late. May throw
// std::bad_alloc.
absl::StatusOr<EncodedAnswer> EncodeAnswer(
    Metrics& metrics, absl::Time deadline, CallerHandle caller, Response response,
    absl::FunctionRef<std::vector<EncodedPiece>(const Response&)> encode);

// To be called when gRPC should have let go of the bytes: it has sent them, or the call was
// cancelled. While it still holds them a moment after that and after `deadline`, the connection of
// `call` is ended if its peer takes in nothing, so that the memory returns. Does not throw.
void EnsureReturn(const AttentionContext& context, const EncodedAnswer& answer, absl::Time deadline,
                  const grpc::ServerContextBase& call);

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_ATTENTION_CONTEXT_H_
