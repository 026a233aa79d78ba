// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_CODEC_H_
#define ATTEND_CLIENT_CPP_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "attend/attention.h"
#include "attend/health.h"
#include "attend/tensor_buffer.h"
#include "google/protobuf/message_lite.h"
#include "grpcpp/support/byte_buffer.h"
#include "proto/wire/bytes.h"

namespace attend::client::internal {

// Numbers of the response's fields; the two responses differ in these only.
struct ResponseFields {
  uint32_t in_pipeline_request;  // the request's own field there
  uint32_t in_pipeline_response;
  uint32_t output;
  uint32_t weights;
  uint32_t layer_sha256;  // 0: none
  uint32_t timing;
  uint32_t log_sum_exp;
  uint32_t warnings;  // 0: none
};
extern const ResponseFields kMultiHeadAttentionFields;
extern const ResponseFields kScaledDotProductAttentionFields;

// A request ready to be sent.
struct Prepared {
  const char* method;
  ResponseFields response;
  grpc::ByteBuffer message;
};

// INVALID_ARGUMENT with the field's name where a tensor does not fit its shape
// or the message would pass protobuf's limit of 2 GiB.
absl::StatusOr<Prepared> Encode(const MultiHeadAttentionRequest& request);
absl::StatusOr<Prepared> Encode(const ScaledDotProductAttentionRequest& request);

// Memory for a tensor's elements; null where there is none.
using Allocate = absl::FunctionRef<std::shared_ptr<void>(size_t size_bytes)>;

// Aligned to 64 bytes.
std::shared_ptr<void> AllocateAligned(size_t size_bytes);

// Copies each tensor once, from the received slices into its buffer or, without
// one, into memory of `allocate`. Allocates no more than the message holds,
// whatever it claims. DATA_LOSS where the bytes are not a response;
// INVALID_ARGUMENT where a tensor is not what its buffer expects;
// RESOURCE_EXHAUSTED where memory is lacking.
absl::StatusOr<AttentionResponse> Decode(const grpc::ByteBuffer& message,
                                         const ResponseFields& fields,
                                         const ResponseBuffers& buffers = {},
                                         Allocate allocate = AllocateAligned);

// The same for a part of a message.
absl::StatusOr<AttentionResponse> Decode(const WireBytes& message, const ResponseFields& fields,
                                         const ResponseBuffers& buffers = {},
                                         Allocate allocate = AllocateAligned);

// A grpc.health.v1.HealthCheckResponse. Values that this library does not know
// are kUnknown.
absl::StatusOr<HealthStatus> DecodeHealth(const grpc::ByteBuffer& message);

// Messages about the server, by the generated classes. DATA_LOSS where `buffer`
// is no such message, or has more than 4 MiB or 65,536 fields.
grpc::ByteBuffer EncodeMessage(const google::protobuf::MessageLite& message);
absl::Status DecodeMessage(grpc::ByteBuffer& buffer, google::protobuf::MessageLite& message);

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_CODEC_H_
