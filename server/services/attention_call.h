// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_
#define ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

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
#include "server/codec/limits.h"
#include "server/codec/response_encoder.h"
#include "server/services/call_record.h"
#include "server/services/calls_in_flight.h"
#include "server/services/deadline_timer.h"
#include "server/telemetry/metrics.h"

namespace attend {

// What bounds every call.
struct AttentionLimits {
  int64_t max_request_bytes = 0;
  absl::Duration max_deadline;
  DecodeLimits decode;
  int network_nice = 0;  // of the threads that receive and send
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

using AttentionReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// One unary call, as a stream of which it reads one message: so it begins with
// the headers and can be refused before its message is read.
//
// Life: gRPC owns the call from Create to OnDone. The engine's callback and, while
// it tells the call, the timer share it, because both may come after that; all
// they may touch then are its own members and the metrics.
//
// Threads: OnDeadline, OnCancel, OnReadDone and the engine's callback race.
// The first of them that ends the call, by TakeEnd, gives gRPC its one Finish and
// alone uses `record_` and `response_`. No lock is held while the engine is called,
// which may call back on the same thread, nor while gRPC is, but for the start of an
// answer.
class AttentionCall final : public AttentionReactor,
                            public Expirable,
                            public std::enable_shared_from_this<AttentionCall> {
 public:
  // Starts a call whose headers have come. Never throws and never returns nullptr
  // while there is memory for a refusal.
  static AttentionReactor* Create(AttentionContext& shared, const AttentionMethod& method,
                                  grpc::CallbackServerContext& context);

  AttentionCall(AttentionContext& shared, const AttentionMethod& method,
                grpc::CallbackServerContext& context);

 private:
  void Start();
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
  grpc::CallbackServerContext& context_;
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
  std::shared_ptr<AttentionCall> self_;  // gRPC's share
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_
