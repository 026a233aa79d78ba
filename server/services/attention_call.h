// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_
#define ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/caller_table.h"
#include "core/base/mutex.h"
#include "core/engine/engine.h"
#include "server/calls/call_record.h"
#include "server/calls/calls_in_flight.h"
#include "server/calls/deadline_timer.h"
#include "server/calls/rpc.h"
#include "server/codec/limits.h"
#include "server/codec/response_encoder.h"
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

// What calls use. All of it outlives gRPC's server; the engine and the metrics
// also outlive the end of the engine's last request.
struct AttentionContext {
  Engine& engine;
  Metrics& metrics;
  CallsInFlight& calls;
  DeadlineTimer& timer;
  CallerTable& callers;
  AttentionLimits limits;
};

// One unary call. It begins with the headers and can be refused before its message is read.
//
// Life: the Rpc owns the call until OnDone. The engine's callback and, while
// it tells the call, the timer share it, because both may come after that; all
// they may touch then are its own members and the metrics.
//
// Threads: OnDeadline, OnCancel, OnReadDone and the engine's callback race.
// The first of them that ends the call, by TakeEnd, gives gRPC its one Finish and
// alone uses `record_` and `response_`. No lock is held while the engine is called,
// which may call back on the same thread, nor while gRPC is, but for the start of an
// answer.
class AttentionCall final : public Call,
                            public Expirable,
                            public std::enable_shared_from_this<AttentionCall> {
 public:
  AttentionCall(AttentionContext& shared, const AttentionMethod& method, Rpc& rpc);

 private:
  void Start() override;
  void OnReadDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void OnDeadline() override;
  void OnFinished(absl::StatusOr<Response> response);

  absl::Status Submit();
  absl::StatusOr<Request> Decode(MemoryCharge& charge);
  absl::Status Encode(Response response);

  bool HasEnded();
  // Whether the one who calls this is the one that ends the call.
  bool TakeEnd();
  // Ends the call without an answer, unless it has been ended.
  void End(const absl::Status& status);
  // Tells the engine, if it has the request, that nobody waits for it.
  void Abandon();

  AttentionContext& shared_;
  Metrics& metrics_;  // outlives the engine's callback, unlike `shared_`
  const AttentionMethod& method_;
  Rpc& rpc_;
  CallRecord record_;
  const absl::Time deadline_;  // steady
  CallerHandle caller_;        // moves on to the answer
  DeadlineTimer::Entry deadline_entry_;
  absl::Time submitted_;  // steady; written before the engine has the request
  grpc::ByteBuffer request_, response_;

  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // by TakeEnd
  bool done_ ABSL_GUARDED_BY(mutex_) = false;   // OnDone has begun
  Engine::Ticket ticket_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_
