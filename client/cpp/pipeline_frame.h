// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_PIPELINE_FRAME_H_
#define ATTEND_CLIENT_CPP_PIPELINE_FRAME_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attend/error.h"
#include "client/cpp/codec.h"
#include "grpcpp/support/byte_buffer.h"
#include "proto/wire/bytes.h"

namespace attend::client::internal {

// An attend.v1.PipelineRequest around a request, whose bytes it shares.
grpc::ByteBuffer EncodePipelineRequest(uint64_t id, absl::Duration timeout,
                                       const Prepared& request);
grpc::ByteBuffer EncodePipelineCancel(uint64_t id);

// An attend.v1.PipelineResponse: either the bytes of a response or an error.
struct PipelineAnswer {
  uint64_t id = 0;

  uint32_t field = 0;  // of the response in the message
  WireBytes body;      // within the message, which must outlive it

  absl::Status error;    // OK: there is a response
  ErrorDetails details;  // of the error, which does not hold them
};

// False where the bytes are no answer: a server of ours sends no such message. What
// is allocated has a bound whatever they claim. May throw std::bad_alloc.
bool ReadPipelineAnswer(const grpc::ByteBuffer& message, PipelineAnswer& answer);

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_PIPELINE_FRAME_H_
