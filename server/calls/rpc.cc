// SPDX-License-Identifier: Apache-2.0
#include "server/calls/rpc.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/caller_table.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/base/quoted.h"
#include "core/base/status.h"
#include "core/batching/end_status.h"
#include "core/engine/failures.h"
#include "server/calls/call_record.h"
#include "server/calls/traceparent.h"
#include "server/calls/wire_status.h"
#include "server/telemetry/method.h"
#include "server/telemetry/request_report.h"

namespace attend {
namespace {

absl::Status StalledError(absl::Duration max) {
  return MakeError(absl::StatusCode::kDeadlineExceeded, "EXPIRED", "",
                   absl::StrCat("a message of the stream was under way for longer than ",
                                absl::FormatDuration(max)));
}

}  // namespace

// What the timer knows of a call, which may end meanwhile.
class Rpc::Alarm final : public Expirable {
 public:
  explicit Alarm(Rpc& rpc) : rpc_(&rpc) {}

  void OnDeadline() override {
    MutexLock lock(mutex_);
    if (rpc_ != nullptr) rpc_->Ring();
  }

  // The call ends: it is not told any more.
  void Close() {
    MutexLock lock(mutex_);
    rpc_ = nullptr;
  }

 private:
  Mutex mutex_;
  Rpc* rpc_ ABSL_GUARDED_BY(mutex_);
};

void Rpc::Accept(CallSource& source) {
  auto rpc = std::unique_ptr<Rpc>(new Rpc(source));
  rpc->context_.AsyncNotifyWhenDone(&rpc->done_);
  source.service.RequestCall(&rpc->context_, &rpc->stream_, source.queue.get(), source.queue.get(),
                             &rpc->arrived_);
  ++source.waiting;
  static_cast<void>(rpc.release());  // its events have it from here on
}

void Rpc::Run(void* tag, bool ok) {
  const Event event = *static_cast<const Event*>(tag);
  (event.rpc.*event.run)(ok);
}

Rpc::Rpc(CallSource& source) : source_(source) {
  source_.live.Add();
}

Rpc::~Rpc() {
  if (alarm_ != nullptr) {
    alarm_->Close();
    source_.bounds.timer->Remove(alarm_entry_);
  }
  if (counted_) source_.bounds.open_calls->Leave(caller_.name());
  source_.live.Remove();
}

void Rpc::OnArrived(bool ok) {
  --source_.waiting;
  if (!ok) {  // the server stops
    source_.accepting = false;
    delete this;
    return;
  }
  FindCall();
  if (call_ != nullptr) call_->Start();
}

void Rpc::FindCall() {
  const absl::Time start = Clock::Steady().Now();
  const auto route = source_.routes.find(context_.method());
  const bool known = route != source_.routes.end();
  absl::Status status = CatchFailures([&] {
    ATTEND_RETURN_IF_ERROR(Admit(start));
    ATTEND_RETURN_IF_ERROR(CheckHeaders());
    if (!known) return absl::OkStatus();
    if (source_.bounds.timer != nullptr) {
      alarm_ = std::make_shared<Alarm>(*this);
      SetAlarm(deadline_);
    }
    call_ = route->second(*this);
    return absl::OkStatus();
  });
  if (call_ != nullptr) return;
  if (status.ok()) {
    status = absl::UnimplementedError(
        absl::StrCat("the server has no method ", Quoted(context_.method())));
  }
  Refuse(status, start, known);
}

// Calls of services count themselves.
void Rpc::Refuse(const absl::Status& status, absl::Time start, bool known) {
  const WireStatus wire = ToWireStatus(status, RequestId(context_));
  const absl::string_view traceparent = ReadTraceparent(context_);
  AddTrailers(wire, traceparent, context_);
  const Method method = FindMethod(context_.method());
  const absl::Duration duration = Clock::Steady().Now() - start;
  // Nothing of a method that does not exist, because its name is whatever the caller likes.
  const MethodName name = known ? NameOf(method) : MethodName();
  ReportRequestEnd(
      DescribeRequestEnd(name, wire, traceparent, caller_, duration, RequestDetails()));
  if (Metrics* const metrics = source_.bounds.metrics; metrics != nullptr) {
    metrics->OnRequestStarted(method);
    metrics->OnRequestEnded(method, wire.code(), wire.reason, duration);
  }
  Finish(wire.status);
}

absl::Status Rpc::Admit(absl::Time start) {
  const std::string peer = context_.peer();
  caller_.address = CallerName(peer);
  deadline_ = start + TimeLeft(context_, source_.bounds.max_deadline);
  if (source_.bounds.find_meter) progress_.SetMeter(source_.bounds.find_meter(peer));
  const absl::StatusOr<std::shared_ptr<const Identity>> identity = Authorize();
  if (identity.ok()) caller_.identity = *identity;
  // Calls without a good token count for their address.
  if (source_.bounds.open_calls != nullptr) {
    ATTEND_RETURN_IF_ERROR(source_.bounds.open_calls->Enter(caller_.name()));
    counted_ = true;
  }
  return identity.status();
}

absl::StatusOr<std::shared_ptr<const Identity>> Rpc::Authorize() const {
  const CallBounds& bounds = source_.bounds;
  if (bounds.identities == nullptr || !NeedsToken(context_.method(), bounds.public_reflection)) {
    return nullptr;
  }
  // Of two, a proxy in front may have looked at the other one: neither counts.
  const auto& metadata = context_.client_metadata();
  const auto found = metadata.find("authorization");
  const absl::string_view authorization =
      metadata.count("authorization") == 1
          ? absl::string_view(found->second.data(), found->second.size())
          : absl::string_view();
  ATTEND_ASSIGN_OR_RETURN(std::shared_ptr<const Identity> identity,
                          bounds.identities->Find(authorization));
  ATTEND_RETURN_IF_ERROR(CheckScope(*identity, context_.method()));
  return identity;
}

// gRPC 1.51 checks the size itself, but only once the caller has acknowledged its settings.
absl::Status Rpc::CheckHeaders() {
  constexpr size_t kFieldBytes = 32;
  size_t bytes = 0;
  for (const auto& [name, value] : context_.client_metadata()) {
    bytes += name.size() + value.size() + kFieldBytes;
  }
  if (bytes <= kMaxHeaderBytes) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted, "TOO_LARGE", "",
                   absl::StrCat("the metadata has ", bytes, " bytes, with ", kFieldBytes,
                                " for each field; this server takes ", kMaxHeaderBytes));
}

void Rpc::Read(grpc::ByteBuffer& message) {
  operations_.fetch_add(1);
  message_ = &message;
  progress_.BeginRead();
  stream_.Read(&message, &read_);
}

void Rpc::Write(const grpc::ByteBuffer& message, bool more_follows) {
  grpc::WriteOptions options;
  if (more_follows) options.set_buffer_hint();
  operations_.fetch_add(1);
  progress_.BeginWrite();
  stream_.Write(message, options, &written_);
}

void Rpc::WriteAndFinish(const grpc::ByteBuffer& message, const grpc::Status& status) {
  ended_.store(true);
  stream_.WriteAndFinish(message, grpc::WriteOptions(), status, &finished_);
}

void Rpc::Finish(const grpc::Status& status) {
  ended_.store(true);
  progress_.BeginWrite();
  stream_.Finish(status, &finished_);
}

void Rpc::OnRead(bool ok) {
  progress_.EndRead(ok && message_->Valid() ? static_cast<int64_t>(message_->Length()) : 0);
  call_->OnReadDone(ok);
  Release();
}

void Rpc::OnWritten(bool ok) {
  progress_.EndWrite();
  call_->OnWriteDone(ok);
  Release();
}

void Rpc::OnFinished(bool /*ok*/) {
  Release();
}

void Rpc::OnDone(bool /*ok*/) {
  if (context_.IsCancelled()) TellOfCancel(CallerLeftError());
  Release();
}

void Rpc::TellOfCancel(const absl::Status& why) {
  if (call_ != nullptr && !std::exchange(told_, true)) call_->OnCancel(why);
}

void Rpc::SetAlarm(absl::Time time) {
  alarm_entry_ = source_.bounds.timer->Add(time, alarm_);
}

// The call is alive, because its destructor waits for the alarm's lock.
void Rpc::Ring() {
  if (!CatchFailures([this] { ring_.emplace(); }).ok()) return Cancel();
  int operations = operations_.load();
  do {
    if (operations == 0) return;  // the last one has just ended
  } while (!operations_.compare_exchange_weak(operations, operations + 1));
  ring_->Set(source_.queue.get(), std::chrono::system_clock::now(), &rung_);
}

void Rpc::OnAlarm(bool /*ok*/) {
  const bool stream = call_ != nullptr && call_->IsStream();
  const absl::Duration max = source_.bounds.max_deadline;
  absl::Duration again = max;
  if (overdue_ || !stream || progress_.IsStalled()) {
    const bool leaving = ended_.load();  // its answer or status should have left
    TellOfCancel(stream ? StalledError(max) : ExpiredError());
    if (overdue_ || leaving) Cancel();
    overdue_ = true;
    again = kReturnTime;
  }
  // What cannot be looked at once more for want of memory ends now.
  if (!CatchFailures([&] { SetAlarm(Clock::Steady().Now() + again); }).ok()) Cancel();
  Release();
}

void Rpc::Release() {
  if (operations_.fetch_sub(1) > 1) return;
  if (call_ != nullptr) call_->OnDone();
  delete this;
}

}  // namespace attend
