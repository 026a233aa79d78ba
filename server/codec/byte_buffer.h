// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_BYTE_BUFFER_H_
#define ATTEND_SERVER_CODEC_BYTE_BUFFER_H_

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/engine/request.h"
#include "proto/wire/bytes.h"
#include "server/codec/response_encoder.h"

namespace attend {

// INVALID_ARGUMENT UNDECODABLE, for a call without a whole message.
absl::Status MissingMessageError();

// The message that `buffer` holds, where gRPC holds it: must not be used after the buffer is
// changed or destroyed. INVALID_ARGUMENT where gRPC has no whole message: it calls handlers for
// missing and cut payloads too, with a buffer that is not valid.
absl::StatusOr<WireBytes> OpenMessage(const grpc::ByteBuffer& buffer);

// Hands the encoded response to gRPC without a copy of its results. `response`
// is released when gRPC has let go of the last byte, on a thread of gRPC's.
grpc::ByteBuffer MakeByteBuffer(std::shared_ptr<const Response> response,
                                const std::vector<EncodedPiece>& pieces);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_BYTE_BUFFER_H_
