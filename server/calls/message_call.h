// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_MESSAGE_CALL_H_
#define ATTEND_SERVER_CALLS_MESSAGE_CALL_H_

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/status.h"
#include "server/calls/call_record.h"
#include "server/calls/rpc.h"

namespace attend {

// Generated messages from and to gRPC's bytes, for methods that only give information.
// INVALID_ARGUMENT or RESOURCE_EXHAUSTED for bytes that are no such message or more than those
// methods need.
absl::Status CheckMessage(const grpc::ByteBuffer& bytes);
absl::Status UndecodableError();

template <typename Message>
absl::StatusOr<Message> ParseMessage(const grpc::ByteBuffer& bytes) {
  ATTEND_RETURN_IF_ERROR(CheckMessage(bytes));
  grpc::ByteBuffer copy = bytes;  // counts references; parsing uses it up
  Message message;
  if (!grpc::SerializationTraits<Message>::Deserialize(&copy, &message).ok()) {
    return UndecodableError();
  }
  return message;
}

template <typename Message>
grpc::ByteBuffer SerializeMessage(const Message& message) {
  grpc::ByteBuffer bytes;
  bool own = false;
  grpc::SerializationTraits<Message>::Serialize(message, &bytes, &own).IgnoreError();
  return bytes;
}

// From the bytes of a request to those of its response. Thread-safe; does not block.
using AnswerBytes =
    std::function<absl::StatusOr<grpc::ByteBuffer>(const grpc::ByteBuffer& request)>;

// `answer` is absl::Status(const Request&, Response&).
template <typename Request, typename Response, typename Answer>
AnswerBytes AnswerMessages(Answer answer) {
  return [answer](const grpc::ByteBuffer& bytes) -> absl::StatusOr<grpc::ByteBuffer> {
    ATTEND_ASSIGN_OR_RETURN(const Request request, ParseMessage<Request>(bytes));
    Response response;
    ATTEND_RETURN_IF_ERROR(answer(request, response));
    return SerializeMessage(response);
  };
}

// A unary call that is answered as soon as its message is there. gRPC itself would answer bytes
// that it cannot parse in its own words, uncounted.
class MessageCall final : public Call {
 public:
  MessageCall(Rpc& rpc, const AnswerBytes& answer) : rpc_(rpc), answer_(answer) {}

  // A call that is counted.
  MessageCall(Rpc& rpc, const AnswerBytes& answer, Metrics& metrics, Method method)
      : MessageCall(rpc, answer) {
    record_.emplace(metrics, method, rpc.context(), rpc.caller());
  }

 private:
  void Start() override { rpc_.Read(request_); }
  void OnReadDone(bool ok) override;
  void OnCancel(const absl::Status& why) override;
  void OnDone() override;

  void End(const absl::StatusOr<grpc::ByteBuffer>& response);

  Rpc& rpc_;
  const AnswerBytes& answer_;  // of the service
  std::optional<CallRecord> record_;
  grpc::ByteBuffer request_;
  bool ended_ = false;
};

// Has `answer` answer the calls of a method. A call refers to what is captured here, so the routes
// must outlive it.
CallFactory AnswerWith(AnswerBytes answer, Metrics& metrics, Method method);
CallFactory AnswerUncounted(AnswerBytes answer);

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_MESSAGE_CALL_H_
