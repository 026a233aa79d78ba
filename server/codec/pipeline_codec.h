// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_PIPELINE_CODEC_H_
#define ATTEND_SERVER_CODEC_PIPELINE_CODEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/wire/bytes.h"
#include "server/codec/response_encoder.h"

namespace attend {

enum class PipelineKind { kMultiHeadAttention, kScaledDotProductAttention, kCancel };

// A PipelineRequest whose request has not been decoded yet.
struct PipelineFrame {
  uint64_t id = 0;
  std::optional<absl::Duration> timeout;
  // INVALID_ARGUMENT: the message holds none of the kinds, or several.
  absl::StatusOr<PipelineKind> kind = PipelineKind::kCancel;
  WireBytes body;  // the request, a part of the message
};

// Reads a PipelineRequest. INVALID_ARGUMENT UNDECODABLE for bytes that are none. Unknown fields are
// skipped. Thread-safe.
absl::StatusOr<PipelineFrame> ReadPipelineFrame(const WireBytes& message);

// Makes a PipelineResponse of an encoded response of that kind, whose pieces are moved.
// Precondition: the kind is not kCancel.
std::vector<EncodedPiece> EncodePipelineResponse(uint64_t id, PipelineKind kind,
                                                 std::vector<EncodedPiece> response);

// A PipelineResponse with a status, given as the bytes of a google.rpc.Status.
std::string EncodePipelineStatus(uint64_t id, absl::string_view status);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_PIPELINE_CODEC_H_
