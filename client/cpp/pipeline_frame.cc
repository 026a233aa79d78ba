// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/pipeline_frame.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attend/v1/attention.pb.h"
#include "client/cpp/read_message.h"
#include "client/cpp/status.h"
#include "google/protobuf/duration.pb.h"
#include "grpcpp/support/slice.h"
#include "proto/wire/reader.h"
#include "proto/wire/received_bytes.h"
#include "proto/wire/writer.h"

namespace attend::client::internal {
namespace {

// A status has the text of one error and its details: more than the trailers of a
// unary call may hold.
constexpr size_t kMaxStatusBytes = 64 << 10;

// An answer has two fields; the rest is for fields that this client does not know.
constexpr size_t kMaxFields = 1000;

constexpr uint32_t kMultiHeadAttention = v1::PipelineResponse::kMultiHeadAttentionFieldNumber;
constexpr uint32_t kScaledDotProduct = v1::PipelineResponse::kScaledDotProductAttentionFieldNumber;

// A google.protobuf.Duration of `timeout` > 0.
std::string EncodeTimeout(absl::Duration timeout) {
  absl::Duration rest;
  const int64_t seconds = absl::IDivDuration(timeout, absl::Seconds(1), &rest);
  std::string out;
  wire_writer::AppendVarintField(google::protobuf::Duration::kSecondsFieldNumber,
                                 static_cast<uint64_t>(seconds), out);
  wire_writer::AppendVarintField(google::protobuf::Duration::kNanosFieldNumber,
                                 static_cast<uint64_t>(absl::ToInt64Nanoseconds(rest)), out);
  return out;
}

bool ReadStatus(WireReader& wire, PipelineAnswer& answer) {
  std::string status;
  return ReadString(wire, kMaxStatusBytes, status) &&
         ReadErrorStatus(status, &answer.error, &answer.details);
}

}  // namespace

grpc::ByteBuffer EncodePipelineRequest(uint64_t id, absl::Duration timeout,
                                       const Prepared& request) {
  std::string head;
  wire_writer::AppendVarintField(v1::PipelineRequest::kIdFieldNumber, id, head);
  wire_writer::AppendMessage(v1::PipelineRequest::kTimeoutFieldNumber, EncodeTimeout(timeout),
                             head);
  wire_writer::AppendLengthTag(static_cast<int>(request.response.in_pipeline_request),
                               request.message.Length(), head);
  std::vector<grpc::Slice> slices;
  if (!request.message.Dump(&slices).ok()) return {};
  slices.emplace(slices.begin(), head);
  return {slices.data(), slices.size()};
}

grpc::ByteBuffer EncodePipelineCancel(uint64_t id) {
  std::string bytes;
  wire_writer::AppendVarintField(v1::PipelineRequest::kIdFieldNumber, id, bytes);
  wire_writer::AppendMessage(v1::PipelineRequest::kCancelFieldNumber, "", bytes);
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

bool ReadPipelineAnswer(const grpc::ByteBuffer& message, PipelineAnswer& answer) {
  const std::optional<WireBytes> bytes = ReceivedBytes(message);
  if (!bytes.has_value()) return false;
  WireReader wire(*bytes, kMaxFields);
  int answers = 0;
  const bool read = ReadMessage(wire, [&](WireTag tag) {
    if (tag.field == v1::PipelineResponse::kIdFieldNumber && tag.type == WireType::kVarint) {
      return wire.ReadVarint(answer.id);
    }
    if (tag.type != WireType::kLength) return wire.SkipField(tag);
    if (tag.field == v1::PipelineResponse::kStatusFieldNumber) {
      return ++answers == 1 && ReadStatus(wire, answer);
    }
    if (tag.field == kMultiHeadAttention || tag.field == kScaledDotProduct) {
      WireSpan span;
      if (++answers > 1 || !wire.ReadSpan(span)) return false;
      answer.field = tag.field;
      answer.body = bytes->Part(span);
      return true;
    }
    return wire.SkipField(tag);
  });
  return read && answers == 1;
}

}  // namespace attend::client::internal
