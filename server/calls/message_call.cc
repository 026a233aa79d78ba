// SPDX-License-Identifier: Apache-2.0
#include "server/calls/message_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/engine/failures.h"
#include "server/calls/wire_status.h"
#include "server/codec/byte_buffer.h"

namespace attend {
namespace {

// No request of the services that only give information needs more.
constexpr size_t kMaxMessageBytes = 64 << 10;

}  // namespace

absl::Status UndecodableError() {
  return MakeError(absl::StatusCode::kInvalidArgument, "UNDECODABLE", "",
                   "the message cannot be decoded");
}

absl::Status CheckMessage(const grpc::ByteBuffer& bytes) {
  if (!bytes.Valid()) return UndecodableError();
  if (bytes.Length() > kMaxMessageBytes) {
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_LARGE", "",
                     absl::StrCat("the message has ", bytes.Length(), " bytes; this method takes ",
                                  kMaxMessageBytes));
  }
  return absl::OkStatus();
}

void MessageCall::OnReadDone(bool ok) {
  if (ended_) return;
  if (!ok && record_.has_value()) {
    ended_ = true;
    return rpc_.Finish(record_->EndWithoutMessage());
  }
  absl::StatusOr<grpc::ByteBuffer> response = MissingMessageError();
  if (ok) {
    const absl::Status failed = CatchFailures([&] { response = answer_(request_); });
    if (!failed.ok()) response = failed;
  }
  End(response);
}

void MessageCall::OnCancel(const absl::Status& why) {
  if (!ended_) End(why);
}

void MessageCall::OnDone() {
  if (record_.has_value()) record_->OnDone();
}

void MessageCall::End(const absl::StatusOr<grpc::ByteBuffer>& response) {
  ended_ = true;
  if (record_.has_value()) {
    record_->details().bytes_in = static_cast<int64_t>(request_.Length());
    if (response.ok()) record_->details().bytes_out = static_cast<int64_t>(response->Length());
  }
  grpc::Status end = record_.has_value() ? record_->End(response.status())
                                         : PrepareEnd(response.status(), rpc_.context());
  if (end.ok()) {
    rpc_.WriteAndFinish(*response, end);
  } else {
    rpc_.Finish(end);
  }
}

CallFactory AnswerWith(AnswerBytes answer, Metrics& metrics, Method method) {
  const auto shared = std::make_shared<const AnswerBytes>(std::move(answer));
  return [shared, &metrics, method](Rpc& rpc) {
    return std::make_shared<MessageCall>(rpc, *shared, metrics, method);
  };
}

CallFactory AnswerUncounted(AnswerBytes answer) {
  const auto shared = std::make_shared<const AnswerBytes>(std::move(answer));
  return [shared](Rpc& rpc) { return std::make_shared<MessageCall>(rpc, *shared); };
}

}  // namespace attend
