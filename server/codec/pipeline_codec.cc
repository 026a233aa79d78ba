// SPDX-License-Identifier: Apache-2.0
#include "server/codec/pipeline_codec.h"

#include <algorithm>
#include <utility>

#include "attend/v1/attention.pb.h"
#include "google/protobuf/duration.pb.h"
#include "proto/wire/reader.h"
#include "proto/wire/writer.h"
#include "server/codec/fields.h"
#include "server/codec/limits.h"

namespace attend {
namespace {

absl::Status ReadUint64(WireReader& wire, const FieldPath& path, WireTag tag, uint64_t& value) {
  int64_t bits = 0;
  ATTEND_RETURN_IF_ERROR(ReadInt64(wire, path, tag, bits));
  value = static_cast<uint64_t>(bits);
  return absl::OkStatus();
}

// A google.protobuf.Duration: a later occurrence changes only the fields that it has.
struct Timeout {
  int64_t seconds = 0;
  int64_t nanos = 0;
};

absl::Status ReadTimeout(WireReader& wire, WireTag tag, Timeout& timeout) {
  constexpr FieldPath kTimeout{nullptr, "timeout"};
  return ReadSubmessage(wire, kTimeout, tag, [&](WireTag inner) {
    switch (inner.field) {
      case google::protobuf::Duration::kSecondsFieldNumber:
        return ReadInt64(wire, kTimeout, inner, timeout.seconds);
      case google::protobuf::Duration::kNanosFieldNumber:
        return ReadInt64(wire, kTimeout, inner, timeout.nanos);
      default:
        return SkipUnknown(wire, kTimeout, inner);
    }
  });
}

// Of an int32, protobuf takes the lowest 32 bits.
absl::Duration ToDuration(const Timeout& timeout) {
  return absl::Seconds(timeout.seconds) + absl::Nanoseconds(static_cast<int32_t>(timeout.nanos));
}

int FieldOf(PipelineKind kind) {
  return kind == PipelineKind::kMultiHeadAttention
             ? v1::PipelineResponse::kMultiHeadAttentionFieldNumber
             : v1::PipelineResponse::kScaledDotProductAttentionFieldNumber;
}

}  // namespace

absl::StatusOr<PipelineFrame> ReadPipelineFrame(const WireBytes& message) {
  WireReader wire(message, kMaxFrameFields);
  PipelineFrame frame;
  std::optional<Timeout> timeout;
  int kinds = 0;
  const auto read_body = [&](const FieldPath& path, WireTag tag, PipelineKind kind) {
    WireSpan span;
    ATTEND_RETURN_IF_ERROR(ReadBytes(wire, path, tag, span));
    ++kinds;
    frame.kind = kind;
    frame.body = message.Part(span);
    return absl::OkStatus();
  };
  using Wire = v1::PipelineRequest;
  ATTEND_RETURN_IF_ERROR(ReadMessage(wire, kRootPath, [&](WireTag tag) {
    switch (tag.field) {
      case Wire::kIdFieldNumber:
        return ReadUint64(wire, {nullptr, "id"}, tag, frame.id);
      case Wire::kTimeoutFieldNumber:
        if (!timeout.has_value()) timeout.emplace();
        return ReadTimeout(wire, tag, *timeout);
      case Wire::kMultiHeadAttentionFieldNumber:
        return read_body({nullptr, "multi_head_attention"}, tag, PipelineKind::kMultiHeadAttention);
      case Wire::kScaledDotProductAttentionFieldNumber:
        return read_body({nullptr, "scaled_dot_product_attention"}, tag,
                         PipelineKind::kScaledDotProductAttention);
      case Wire::kCancelFieldNumber:
        return read_body({nullptr, "cancel"}, tag, PipelineKind::kCancel);
      default:
        return SkipUnknown(wire, kRootPath, tag);
    }
  }));
  if (timeout.has_value()) frame.timeout = ToDuration(*timeout);
  if (kinds != 1) {
    frame.kind = InvalidField("",
                              "a PipelineRequest holds exactly one of multi_head_attention, "
                              "scaled_dot_product_attention and cancel",
                              kinds == 0 ? "MISSING_FIELD" : "CONFLICTING_FIELDS");
  }
  return frame;
}

std::vector<EncodedPiece> EncodePipelineResponse(uint64_t id, PipelineKind kind,
                                                 std::vector<EncodedPiece> response) {
  size_t size = 0;
  for (const EncodedPiece& piece : response) size += piece.header.size() + piece.borrowed.size();
  std::string head;
  wire_writer::AppendVarintField(v1::PipelineResponse::kIdFieldNumber, id, head);
  wire_writer::AppendLengthTag(FieldOf(kind), size, head);
  if (response.empty() || !response.front().borrowed.empty()) {
    response.insert(response.begin(), EncodedPiece());
  }
  response.front().header.insert(0, head);
  return response;
}

std::string EncodePipelineStatus(uint64_t id, absl::string_view status) {
  std::string out;
  wire_writer::AppendVarintField(v1::PipelineResponse::kIdFieldNumber, id, out);
  wire_writer::AppendMessage(v1::PipelineResponse::kStatusFieldNumber, status, out);
  return out;
}

}  // namespace attend
