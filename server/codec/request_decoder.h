// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_REQUEST_DECODER_H_
#define ATTEND_SERVER_CODEC_REQUEST_DECODER_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "core/engine/request.h"
#include "proto/wire/bytes.h"
#include "server/codec/limits.h"

namespace attend {

// Decodes a request message, walking protobuf's wire format; each tensor's bytes are copied once.
// Equal to what the generated class of attend.v1 parses, with these refusals on top:
//   UNIMPLEMENTED     a field inside AttentionOptions that is not known,
//                     in its tensors too
//   INVALID_ARGUMENT  unknown enum values; tensors whose data are not their
//                     shape's size; a tensor that is required and absent; fields
//                     of another wire type than theirs; more than `limits` allows
// Whether shapes and options fit each other is the engine's to check.
// Thread-safe. Memory allocated is at most that of the message, plus that of lists (ListBytes),
// which `limits` bounds.
absl::StatusOr<MultiHeadAttentionRequest> DecodeMultiHeadAttentionRequest(
    const WireBytes& message, const DecodeLimits& limits);
absl::StatusOr<ScaledDotProductAttentionRequest> DecodeScaledDotProductAttentionRequest(
    const WireBytes& message, const DecodeLimits& limits);

// The memory that a request's lists of numbers take. A number of one byte in the message takes
// eight, so that this may be more than the message had.
size_t ListBytes(const Request& request);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_REQUEST_DECODER_H_
