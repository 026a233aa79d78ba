// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_CODEC_H_
#define ATTEND_CLIENT_CPP_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "attend/attention.h"
#include "attend/health.h"
#include "google/protobuf/message_lite.h"
#include "grpcpp/support/byte_buffer.h"

namespace attend::client::internal {

// Numbers of the response's fields; the two responses differ in these only.
struct ResponseFields {
  int layer_sha256;  // 0: none
  int timing;
  int log_sum_exp;
};

// A request ready to be sent.
struct Prepared {
  const char* method;
  ResponseFields response;
  grpc::ByteBuffer message;
};

// INVALID_ARGUMENT with the field's name where a tensor does not fit its shape
// or the message would pass protobuf's limit of 2 GiB.
absl::StatusOr<Prepared> Encode(const MultiHeadRequest& request);
absl::StatusOr<Prepared> Encode(const OperatorRequest& request);

// One copy, from the received slices into an aligned buffer. DATA_LOSS where the
// bytes are not a response. `message` is consumed.
absl::StatusOr<AttentionResult> Decode(grpc::ByteBuffer& message, const ResponseFields& fields);

// A grpc.health.v1.HealthCheckResponse. Values that this library does not know
// are kUnknown.
absl::StatusOr<HealthStatus> DecodeHealth(grpc::ByteBuffer& message);

// Small messages, by the generated classes.
grpc::ByteBuffer EncodeMessage(const google::protobuf::MessageLite& message);
absl::Status DecodeMessage(grpc::ByteBuffer& buffer, google::protobuf::MessageLite& message);

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_CODEC_H_
