// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_BYTE_BUFFER_H_
#define ATTEND_SERVER_CODEC_BYTE_BUFFER_H_

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/engine/request.h"
#include "server/codec/response_encoder.h"

namespace attend {

// INVALID_ARGUMENT UNDECODABLE, for a call without a whole message.
absl::Status MissingMessageError();

// The chunks of a received message, not copied from gRPC.
//
// End its life before that of the buffer's bytes (its Clear or destructor). The
// one that lets go of the last reference returns the bytes to the memory quota,
// which may wake a reclaimer; gRPC 1.51 crashes when that happens in a slice's
// destructor rather than in the buffer's (ExecCtx::Run without an ExecCtx).
class ReceivedMessage {
 public:
  // INVALID_ARGUMENT where gRPC has no whole message: it calls handlers for
  // missing and cut payloads too, with a buffer that is not valid.
  static absl::StatusOr<ReceivedMessage> Open(const grpc::ByteBuffer& buffer);

  absl::Span<const absl::string_view> chunks() const { return chunks_; }

 private:
  std::vector<grpc::Slice> slices_;
  std::vector<absl::string_view> chunks_;
};

// Hands the encoded response to gRPC without a copy of its results. `response`
// is released when gRPC has let go of the last byte, on a thread of gRPC's.
grpc::ByteBuffer MakeByteBuffer(std::shared_ptr<const Response> response,
                                const std::vector<EncodedPiece>& pieces);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_BYTE_BUFFER_H_
