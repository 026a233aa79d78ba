// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_RPC_H_
#define ATTEND_SERVER_CALLS_RPC_H_

#include <grpc/grpc.h>
#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/calls/call_progress.h"
#include "server/calls/caller.h"
#include "server/calls/calls_in_flight.h"
#include "server/calls/deadline_timer.h"
#include "server/net/open_calls.h"
#include "server/net/upload_meter.h"
#include "server/security/identities.h"
#include "server/telemetry/metrics.h"

namespace attend {

class Rpc;

// What a service does with one call of a method. Every function is called on the thread of the
// call's queue, one at a time; none may block or throw.
class Call {
 public:
  virtual ~Call() = default;

  // The headers have come, and no byte of a message has been asked for.
  virtual void Start() = 0;

  // Rpc::Read has ended. Not `ok`: no message comes any more, or the call is over.
  virtual void OnReadDone(bool ok) = 0;

  // Rpc::Write has ended. Not `ok`: the call is over.
  virtual void OnWriteDone(bool /*ok*/) {}

  // The caller is gone, or the deadline has passed. The call must be ended with `why`, unless it
  // has been ended. Called at most once.
  virtual void OnCancel(const absl::Status& why) = 0;

  // The call was ended and gRPC has let go of its messages. The Rpc lives until this returns and
  // no longer.
  virtual void OnDone() {}

  // Whether more than one message may come or go, so that the deadline is not that of the whole
  // call. Always the same.
  virtual bool IsStream() const { return false; }
};

// Makes what answers one call. May throw: the call is then refused.
using CallFactory = std::function<std::shared_ptr<Call>(Rpc& rpc)>;

// By path: "/package.Service/Method".
using Routes = absl::flat_hash_map<std::string, CallFactory>;

// Of the headers of one call together: names, values, and 32 bytes for each.
inline constexpr int kMaxHeaderBytes = 8 << 10;

// What bounds calls. Outlives them.
struct CallBounds {
  OpenCalls* open_calls = nullptr;  // nullptr: any number
  FindUploadMeter find_meter;       // empty: messages are not metered
  DeadlineTimer* timer = nullptr;   // nullptr: nothing ends at a deadline
  absl::Duration max_deadline = absl::InfiniteDuration();
  Metrics* metrics = nullptr;              // nullptr: calls that no service sees are not counted
  const Identities* identities = nullptr;  // nullptr: calls need no token
  bool public_reflection = false;          // reflection needs none in any case
};

// What the calls that one thread takes share. Of that thread, but for `live`.
struct CallSource {
  grpc::AsyncGenericService& service;
  const Routes& routes;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue;
  const CallBounds bounds;
  CallsInFlight live{};   // every Rpc
  int waiting = 0;        // those that wait for a caller
  bool accepting = true;  // false once the server stops
};

// One call as gRPC holds it, from its headers on. It must be ended exactly once, by Finish or
// WriteAndFinish; nothing may be started after that. One Read and one Write may be under way at
// once. They may be started on any thread and do not block.
//
// A unary call ends at its deadline, whatever it waits for. A stream may stay open, but a message
// of which more has come than an idle stream holds, and an answer, may each take as long as
// CallBounds::max_deadline; past that, and twice that at most, the stream ends.
class Rpc {
 public:
  // Has a call wait for its caller. It deletes itself when it has ended, or when the server stops.
  // May throw std::bad_alloc.
  static void Accept(CallSource& source);

  // To be called with each tag that the source's queue returns.
  static void Run(void* tag, bool ok);

  Rpc(const Rpc&) = delete;
  Rpc& operator=(const Rpc&) = delete;

  grpc::ServerContextBase& context() { return context_; }

  // Constant from Call::Start on.
  const Caller& caller() const { return caller_; }

  // Who may make this call by the token that it shows, as of now: a stream may outlive its token.
  // nullptr where no token is needed; the errors of Identities::Find and CheckScope. Thread-safe.
  absl::StatusOr<std::shared_ptr<const Identity>> Authorize() const;

  // Steady; that of the caller, but no later than CallBounds::max_deadline from the headers on.
  absl::Time deadline() const { return deadline_; }

  // OnReadDone(true) follows when `message` holds the next message. `message` must live until
  // OnReadDone. From here on the caller may send all of that message, however large.
  void Read(grpc::ByteBuffer& message);

  // OnWriteDone follows. With `more_follows`, gRPC may keep the message until the next Write or the
  // call's end, one of which must follow.
  void Write(const grpc::ByteBuffer& message, bool more_follows = false);

  // Cancels the call, as a caller does: what is under way fails. Not after Finish.
  void Cancel() { grpc_call_cancel(context_.c_call(), nullptr); }

  void WriteAndFinish(const grpc::ByteBuffer& message, const grpc::Status& status);
  void Finish(const grpc::Status& status);

 private:
  // What gRPC's queue returns when an operation has ended.
  struct Event {
    Rpc& rpc;
    void (Rpc::*run)(bool ok);
  };

  class Alarm;

  explicit Rpc(CallSource& source);
  ~Rpc();
  friend std::default_delete<Rpc>;

  void OnArrived(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool ok);
  void OnDone(bool ok);
  void OnAlarm(bool ok);
  void FindCall();
  // Ends the call with the status, logs and counts it. `start` is steady; `known`: a service has
  // the method.
  void Refuse(const absl::Status& status, absl::Time start, bool known);
  // Sets the deadline, finds the caller and the meter of its connection, and asks OpenCalls::Enter.
  absl::Status Admit(absl::Time start);
  absl::Status CheckHeaders();
  // Has OnAlarm called at a steady time. May throw std::bad_alloc.
  void SetAlarm(absl::Time time);
  // Has OnAlarm called now. On the timer's thread.
  void Ring();
  void TellOfCancel(const absl::Status& why);
  // One operation fewer is under way. The last one ends the Rpc.
  void Release();

  CallSource& source_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  Caller caller_;
  bool counted_ = false;  // in CallBounds::open_calls
  CallProgress progress_;
  grpc::ByteBuffer* message_ = nullptr;
  std::shared_ptr<Call> call_;  // nullptr: there is no such method, or no memory
  // Under way. From the start on these are the call's end and gRPC's notice of it.
  std::atomic<int> operations_{2};
  absl::Time deadline_;
  std::shared_ptr<Alarm> alarm_;  // nullptr: there is no timer
  DeadlineTimer::Entry alarm_entry_;
  std::optional<grpc::Alarm> ring_;  // of the timer's thread
  std::atomic<bool> ended_{false};   // by Finish or WriteAndFinish
  bool told_ = false;                // Call::OnCancel was called
  bool overdue_ = false;             // the deadline has passed
  Event arrived_{*this, &Rpc::OnArrived};
  Event read_{*this, &Rpc::OnRead};
  Event written_{*this, &Rpc::OnWritten};
  Event finished_{*this, &Rpc::OnFinished};
  Event done_{*this, &Rpc::OnDone};
  Event rung_{*this, &Rpc::OnAlarm};
};

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_RPC_H_
