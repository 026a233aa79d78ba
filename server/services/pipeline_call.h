// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_PIPELINE_CALL_H_
#define ATTEND_SERVER_SERVICES_PIPELINE_CALL_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/caller_table.h"
#include "core/base/mutex.h"
#include "core/engine/engine.h"
#include "server/calls/rpc.h"
#include "server/calls/wire_status.h"
#include "server/codec/pipeline_codec.h"
#include "server/services/attention_context.h"
#include "server/services/pipeline_calls.h"
#include "server/services/pipeline_items.h"

namespace attend {

// One stream of requests, attend.v1.AttentionService.Pipeline.
//
// The queue's thread reads messages, one at a time, and hands each request to the engine. Whoever
// answers a request first (the engine, the timer, a cancel) does so alone, see Take. Answers wait
// in `items_`, from where one is written at a time. The next message is read only while there is
// room for one more request as large as those before it, or the stream has none.
//
// Life: the Rpc owns the call until OnDone; requests in the engine and entries of the timer share
// it. The Rpc is used under the mutex, and not after OnDone. The engine is called without it,
// because it may call back on the same thread.
class PipelineCall final : public Call,
                           public Drainable,
                           public std::enable_shared_from_this<PipelineCall> {
 public:
  PipelineCall(AttentionContext& shared, Rpc& rpc);

  // Ends with UNAVAILABLE.
  void Drain() override;

 private:
  class Item;

  void Start() override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel(const absl::Status& why) override;
  void OnDone() override;
  bool IsStream() const override { return true; }

  // Hands the request of `message_` to the engine, or executes a cancel. An error is that of the
  // request, if there is an `item` by then, or else of the stream.
  absl::Status Handle(std::shared_ptr<PipelineItem>& item);
  absl::Status Register(const PipelineFrame& frame, const std::shared_ptr<Item>& item);
  // Sets `needed_bytes` as Engine::Submit does.
  void Submit(const std::shared_ptr<Item>& item, Request request, MemoryCharge charge,
              int64_t& needed_bytes);
  // Remembers what a request needed, for HasRoom.
  void Remember(int64_t needed_bytes);
  void CancelItem(uint64_t id);

  // Describes the request for the log, unless somebody answers it.
  void Describe(PipelineItem& item, RequestDetails details);
  // These answer the item, unless somebody has.
  void OnFinished(const std::shared_ptr<Item>& item, absl::StatusOr<Response> response);
  void Fail(const std::shared_ptr<PipelineItem>& item, const absl::Status& status);
  // Tells the engine, if it has the item, that nobody waits for it.
  void Abandon(PipelineItem& item);
  // Whether the one who calls this is the one that answers the item.
  bool Take(PipelineItem& item);
  void Send(PipelineAnswer answer);
  // Counts the item and logs it, once, by what its caller gets: when its answer begins to leave, or
  // when nobody is left who could get one.
  void Count(const PipelineItem& item, absl::StatusCode code, const std::string& reason);

  // How the stream, or a request of it, ended, for the log. Borrows `reason` and `details`.
  RequestEnd DescribeRequestEnd(Method method, absl::StatusCode code, const std::string& reason,
                                absl::Duration duration, const RequestDetails& details) const;

  // The item's deadline has passed: before it is answered, or before its answer has left.
  void OnDeadline(const std::shared_ptr<PipelineItem>& item);
  void OnLateWrite(const std::shared_ptr<PipelineItem>& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // EnsureReturn for all that gRPC should have sent by now.
  void EnsureReturns() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the stream if everything is answered and no more comes.
  void EndIfFinished() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the stream and cancels what it still has in the engine.
  void End(const absl::Status& status);

  AttentionContext& shared_;
  Engine& engine_;  // these outlive the engine's callbacks, unlike `shared_`
  Metrics& metrics_;
  Rpc& rpc_;
  const std::string request_id_;   // of the stream
  const std::string traceparent_;  // of the stream; empty: none
  const Caller caller_;
  const CallerHandle caller_handle_;
  const absl::Time start_;    // steady
  grpc::ByteBuffer message_;  // the one that is read

  Mutex mutex_;
  PipelineItems items_ ABSL_GUARDED_BY(mutex_);
  // The most that a request of the stream needed; an eighth less with each that followed.
  int64_t likely_bytes_ ABSL_GUARDED_BY(mutex_) = 1;
  // Written since gRPC last sent all, with their deadlines.
  std::vector<std::pair<std::weak_ptr<HeldResponse>, absl::Time>> buffered_ ABSL_GUARDED_BY(mutex_);
  bool buffering_ ABSL_GUARDED_BY(mutex_) = false;  // gRPC may keep the last write for the next
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;  // the caller sends no more
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // by Finish, which waits for the write under way
  WireStatus end_ ABSL_GUARDED_BY(mutex_);
  bool done_ ABSL_GUARDED_BY(mutex_) = false;  // OnDone has begun
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_PIPELINE_CALL_H_
