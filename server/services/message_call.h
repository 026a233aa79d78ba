// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_MESSAGE_CALL_H_
#define ATTEND_SERVER_SERVICES_MESSAGE_CALL_H_

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/codec/byte_buffer.h"
#include "server/services/call_record.h"

namespace attend {

// No request of the services that only give information needs more.
inline constexpr size_t kMaxMessageBytes = 64 << 10;

// Answers a unary call of generated messages at once. The method is a raw one
// all the same: gRPC itself would answer bytes that it cannot parse in its own
// words, uncounted. `answer` is absl::Status(const RequestMessage&, ResponseMessage&).
template <typename RequestMessage, typename ResponseMessage, typename Answer>
grpc::ServerUnaryReactor* AnswerMessage(Metrics& metrics, Method method,
                                        grpc::CallbackServerContext& context,
                                        const grpc::ByteBuffer& request, grpc::ByteBuffer& response,
                                        Answer answer) {
  CallRecord record(metrics, method, context);
  const auto run = [&]() -> absl::Status {
    ATTEND_RETURN_IF_ERROR(ReceivedMessage::Open(request).status());
    if (request.Length() > kMaxMessageBytes) {
      return MakeError(absl::StatusCode::kResourceExhausted, "TOO_LARGE", "",
                       absl::StrCat("the message has ", request.Length(),
                                    " bytes; this method takes ", kMaxMessageBytes));
    }
    grpc::ByteBuffer bytes = request;  // counts references; parsing uses it up
    RequestMessage in;
    if (!grpc::SerializationTraits<RequestMessage>::Deserialize(&bytes, &in).ok()) {
      return MakeError(absl::StatusCode::kInvalidArgument, "UNDECODABLE", "",
                       "the message cannot be decoded");
    }
    ResponseMessage out;
    ATTEND_RETURN_IF_ERROR(answer(in, out));
    bool own = false;
    if (!grpc::SerializationTraits<ResponseMessage>::Serialize(out, &response, &own).ok()) {
      return absl::InternalError("the response cannot be serialized");
    }
    return absl::OkStatus();
  };
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  reactor->Finish(record.End(run()));
  return reactor;
}

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_MESSAGE_CALL_H_
