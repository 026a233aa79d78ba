// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_RESPONSE_ENCODER_H_
#define ATTEND_SERVER_CODEC_RESPONSE_ENCODER_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/engine/request.h"

namespace attend {

// Pieces of an encoded message in order. A piece is either `header`, bytes of
// its own, or borrowed bytes of a result.
struct EncodedPiece {
  std::string header;
  absl::string_view borrowed;
};

// The response in protobuf's wire format, as the generated classes of attend.v1
// parse it. Results' bytes are not copied: the pieces borrow them from
// `response`. Thread-safe.
std::vector<EncodedPiece> EncodeMultiHeadAttentionResponse(const Response& response);
std::vector<EncodedPiece> EncodeScaledDotProductAttentionResponse(const Response& response);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_RESPONSE_ENCODER_H_
