// SPDX-License-Identifier: Apache-2.0

// A message of a pipeline's stream. The whole is read as protobuf reads it, but for two things: a
// message that holds several kinds is refused (protobuf takes the last), and the content of a
// cancel, which has no fields, is not looked at.

#include <string>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.pb.h"
#include "server/codec/limits.h"
#include "server/codec/pipeline_codec.h"
#include "server/codec/request_decoder.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/fuzz/targets/listed_refusals.h"
#include "tests/server/codec/matches_proto.h"

namespace attend {
namespace {

constexpr int kMaxList = 1000;
constexpr DecodeLimits kLimits{kMaxList, kMaxList};

template <typename Decoded, typename Proto>
void CheckBody(const absl::StatusOr<Decoded>& decoded, bool parsed, bool present,
               const Proto& proto, const std::string& bytes) {
  if (!decoded.ok()) {
    Require(!parsed || IsListedRefusal(proto, bytes, kMaxList), "a refusal is listed",
            absl::StrCat(decoded.status().ToString(), "\n", proto.DebugString()));
    return;
  }
  Require(parsed && present, "protobuf parses a request that is accepted");
  Require(Matches(*decoded, proto), "the request means what protobuf says", proto.DebugString());
}

void Check(const ChunkedInput& input) {
  using Wire = v1::PipelineRequest;
  // Each field has two bytes or more.
  if (input.bytes().size() > 2 * kMaxFrameFields) return;
  const absl::StatusOr<PipelineFrame> frame = ReadPipelineFrame(input.wire());
  v1::PipelineRequest proto;
  const bool parsed = proto.ParseFromString(input.bytes());
  if (!frame.ok()) {
    Require(absl::IsInvalidArgument(frame.status()), "a broken message is INVALID_ARGUMENT");
    Require(!parsed || HasFieldOfOtherType(proto) || HasFieldOfOtherType(proto.timeout()),
            "a refusal is listed",
            absl::StrCat(frame.status().ToString(), "\n", proto.DebugString()));
    return;
  }
  if (parsed) {
    Require(frame->id == proto.id(), "the id is protobuf's");
    Require(frame->timeout.has_value() == proto.has_timeout(), "a timeout is there or not");
    if (frame->timeout.has_value()) {
      Require(*frame->timeout == absl::Seconds(proto.timeout().seconds()) +
                                     absl::Nanoseconds(proto.timeout().nanos()),
              "the timeout is protobuf's", proto.DebugString());
    }
  }
  const auto multi_head = LengthFields(input.bytes(), Wire::kMultiHeadAttentionFieldNumber);
  const auto operation = LengthFields(input.bytes(), Wire::kScaledDotProductAttentionFieldNumber);
  const auto cancels = LengthFields(input.bytes(), Wire::kCancelFieldNumber);
  const bool has_one = multi_head.size() + operation.size() + cancels.size() == 1;
  Require(!parsed || frame->kind.ok() == has_one, "a message of one kind is accepted",
          proto.DebugString());
  if (!frame->kind.ok()) return;
  Require(has_one, "a message of several kinds is refused");
  switch (*frame->kind) {
    case PipelineKind::kMultiHeadAttention:
      return CheckBody(DecodeMultiHeadAttentionRequest(frame->body, kLimits), parsed,
                       proto.has_multi_head_attention(), proto.multi_head_attention(),
                       multi_head.front());
    case PipelineKind::kScaledDotProductAttention:
      return CheckBody(DecodeScaledDotProductAttentionRequest(frame->body, kLimits), parsed,
                       proto.has_scaled_dot_product_attention(),
                       proto.scaled_dot_product_attention(), operation.front());
    case PipelineKind::kCancel:
      Require(!parsed || proto.has_cancel(), "a cancel is protobuf's");
  }
}

}  // namespace
}  // namespace attend

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  attend::Check(attend::ChunkedInput(data, size));
  return 0;
}
