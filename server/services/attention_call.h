// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_
#define ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_

#include <grpcpp/support/byte_buffer.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/caller_table.h"
#include "core/base/mutex.h"
#include "core/engine/engine.h"
#include "server/calls/call_record.h"
#include "server/calls/rpc.h"
#include "server/services/attention_context.h"

namespace attend {

// One unary call. It begins with the headers and can be refused before its message is read.
//
// Life: the Rpc owns the call until OnDone. The engine's callback shares it, because it may come
// after that; all that it may touch then are the call's own members and the metrics.
//
// Threads: the engine's callback races with OnCancel and OnReadDone. The first of them that ends
// the call, by TakeEnd, gives gRPC its one Finish and alone uses `record_` and `answer_`. No lock
// is held while the engine is called, which may call back on the same thread, nor while gRPC is,
// but for the start of an answer.
class AttentionCall final : public Call, public std::enable_shared_from_this<AttentionCall> {
 public:
  AttentionCall(AttentionContext& shared, const AttentionMethod& method, Rpc& rpc);

 private:
  void Start() override;
  void OnReadDone(bool ok) override;
  void OnCancel(const absl::Status& why) override;
  void OnDone() override;

  void OnFinished(absl::StatusOr<Response> response);

  absl::Status Submit();
  absl::StatusOr<Request> Decode(MemoryCharge& charge);

  // Describes the request for the log, unless the call has ended: `record_` is another's then.
  void Describe(RequestDetails details);
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
  absl::Time submitted_;       // steady; written before the engine has the request
  grpc::ByteBuffer request_;
  EncodedAnswer answer_;

  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;    // by TakeEnd
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;  // gRPC has `answer_`
  Engine::Ticket ticket_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_ATTENTION_CALL_H_
