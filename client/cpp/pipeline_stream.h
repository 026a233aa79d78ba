// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_PIPELINE_STREAM_H_
#define ATTEND_CLIENT_CPP_PIPELINE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attend/options.h"
#include "attend/pending_call.h"
#include "attend/pipeline.h"
#include "client/cpp/call_spec.h"
#include "client/cpp/load_control.h"
#include "client/cpp/mutex.h"
#include "client/cpp/pacer.h"
#include "client/cpp/pipeline_frame.h"
#include "client/cpp/pipeline_items.h"
#include "client/cpp/window.h"
#include "grpcpp/alarm.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"

namespace attend::client::internal {

// One call of AttentionService.Pipeline, with a thread that polls its queue and runs
// callbacks. Thread-safe. Shared with the PendingCalls of its requests.
class PipelineStream : public std::enable_shared_from_this<PipelineStream> {
 public:
  // What the calls and pipelines of a client share. `pacer` must outlive the stream.
  struct Shared {
    RetryPolicy retry;
    std::shared_ptr<LoadControl> load;
    Pacer& pacer;
  };

  PipelineStream(const std::shared_ptr<grpc::Channel>& channel, CallSpec spec,
                 const PipelineOptions& options, Shared shared, uint64_t first_id);

  // Opens the stream. Before anything else, once.
  void Open();

  // As those of Pipeline.
  absl::StatusOr<PendingCall> Start(std::shared_ptr<const Prepared> request,
                                    const ItemOptions& options, ResponseCallback done);
  absl::Status Finish(absl::Duration timeout);

  // Cancels everything and blocks until the last callback has returned. To be called once,
  // before the last reference goes.
  void Stop();

 private:
  // A message that has left items_.
  struct Outgoing {
    grpc::ByteBuffer bytes;
    size_t place = 1;  // in its group, from 1
  };

  enum class Event : intptr_t { kStarted = 1, kRead, kWritten, kHalfClosed, kTimer, kEnded };
  static void* Tag(Event event) { return reinterpret_cast<void*>(event); }

  static absl::Status FinishedError();

  absl::Status TakeRoom(size_t bytes, const ItemOptions& options, absl::Duration deadline);
  void Cancel(uint64_t id);

  // Of the polling thread (pipeline_events.cc).
  void Poll();
  void OnEvent(Event event, bool ok);
  void OnAnswer();
  void OnResult(PipelineItem item, const PipelineAnswer& answer);
  void OnEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunCallbacksOfFailed();

  // How long to wait before the request of an error is sent again; absent: it is not.
  std::optional<absl::Duration> DelayAfter(const PipelineItem& item, const PipelineAnswer& answer);

  // Ends the stream because of what the server sent.
  void Break(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Starts what can be: the next write or the half-close, and the timer.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<grpc::ByteBuffer> TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetTimer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Shared shared_;
  const CallSpec spec_;
  grpc::GenericStub stub_;
  Window window_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;

  // Of the polling thread.
  grpc::ByteBuffer answer_;
  grpc::Status grpc_status_;

  Mutex mutex_;
  CondVar polled_;
  PipelineItems items_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;  // Read and Write are allowed
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // a Write or the half-close is under way
  // What follows the write under way, which gRPC keeps back for it.
  std::optional<Outgoing> next_ ABSL_GUARDED_BY(mutex_);
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;  // Finish was called
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // no operation may be started
  absl::Status cause_ ABSL_GUARDED_BY(mutex_);  // why this side ended the stream; OK: it did not
  absl::Status end_ ABSL_GUARDED_BY(mutex_);    // once it has ended
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;   // every callback has returned
  bool timer_set_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration timer_ ABSL_GUARDED_BY(mutex_);  // when it goes off, where it is set
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mutex_);

  std::thread poller_;  // set by Open
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_PIPELINE_STREAM_H_
