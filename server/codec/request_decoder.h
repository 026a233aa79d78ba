// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_REQUEST_DECODER_H_
#define ATTEND_SERVER_CODEC_REQUEST_DECODER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/engine/request.h"
#include "server/codec/limits.h"

namespace attend {

// Decodes a request message that lies in `chunks`, walking protobuf's wire
// format; each tensor's bytes are copied once. Equal to what the generated
// class of attend.v1 parses, with these refusals on top:
//   UNIMPLEMENTED     a field inside AttentionOptions that is not known,
//                     in its tensors too
//   INVALID_ARGUMENT  unknown enum values; tensors whose data are not their
//                     shape's size; a tensor that is required and absent; fields
//                     of another wire type than theirs; more than `limits` allows
// Whether shapes and options fit each other is the engine's to check.
// Thread-safe. Memory allocated is at most that of the message, plus a constant.
absl::StatusOr<MultiHeadAttentionRequest> DecodeMultiHeadAttentionRequest(
    absl::Span<const absl::string_view> chunks, const DecodeLimits& limits);
absl::StatusOr<ScaledDotProductAttentionRequest> DecodeScaledDotProductAttentionRequest(
    absl::Span<const absl::string_view> chunks, const DecodeLimits& limits);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_REQUEST_DECODER_H_
