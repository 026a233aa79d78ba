// SPDX-License-Identifier: Apache-2.0
#include "server/calls/rpc.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/caller_table.h"
#include "core/base/quoted.h"
#include "core/base/status.h"
#include "core/engine/failures.h"
#include "server/calls/wire_status.h"

namespace attend {

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
  if (counted_) source_.bounds.open_calls->Leave(caller_);
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
  absl::Status status = CatchFailures([this] {
    ATTEND_RETURN_IF_ERROR(Admit());
    ATTEND_RETURN_IF_ERROR(CheckHeaders());
    const auto route = source_.routes.find(context_.method());
    if (route != source_.routes.end()) call_ = route->second(*this);
    return absl::OkStatus();
  });
  if (call_ != nullptr) return;
  if (status.ok()) {
    status = absl::UnimplementedError(
        absl::StrCat("the server has no method ", Quoted(context_.method())));
  }
  Finish(PrepareEnd(status, context_));
}

absl::Status Rpc::Admit() {
  const std::string peer = context_.peer();
  caller_ = CallerName(peer);
  if (source_.bounds.find_meter) meter_ = source_.bounds.find_meter(peer);
  if (source_.bounds.open_calls == nullptr) return absl::OkStatus();
  ATTEND_RETURN_IF_ERROR(source_.bounds.open_calls->Enter(caller_));
  counted_ = true;
  return absl::OkStatus();
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
  // What cannot be metered for want of memory is received all the same.
  if (meter_ != nullptr && !CatchFailures([this] { awaited_ = meter_->Begin(); }).ok()) {
    meter_ = nullptr;
  }
  stream_.Read(&message, &read_);
}

void Rpc::Write(const grpc::ByteBuffer& message, bool more_follows) {
  grpc::WriteOptions options;
  if (more_follows) options.set_buffer_hint();
  operations_.fetch_add(1);
  stream_.Write(message, options, &written_);
}

void Rpc::WriteAndFinish(const grpc::ByteBuffer& message, const grpc::Status& status) {
  stream_.WriteAndFinish(message, grpc::WriteOptions(), status, &finished_);
}

void Rpc::Finish(const grpc::Status& status) {
  stream_.Finish(status, &finished_);
}

void Rpc::OnRead(bool ok) {
  if (meter_ != nullptr) {
    meter_->End(awaited_, ok && message_->Valid() ? static_cast<int64_t>(message_->Length()) : 0);
  }
  call_->OnReadDone(ok);
  Release();
}

void Rpc::OnWritten(bool ok) {
  call_->OnWriteDone(ok);
  Release();
}

void Rpc::OnFinished(bool /*ok*/) {
  Release();
}

void Rpc::OnDone(bool /*ok*/) {
  if (call_ != nullptr && context_.IsCancelled()) call_->OnCancel();
  Release();
}

void Rpc::Release() {
  if (operations_.fetch_sub(1) > 1) return;
  if (call_ != nullptr) call_->OnDone();
  delete this;
}

}  // namespace attend
