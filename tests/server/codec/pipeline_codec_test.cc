// SPDX-License-Identifier: Apache-2.0

// Frames and answers of pipelines against protobuf's own classes, on random messages.

#include "server/codec/pipeline_codec.h"

#include <iostream>
#include <string>

#include "attend/v1/attention.pb.h"
#include "core/base/status.h"
#include "gtest/gtest.h"
#include "tests/server/codec/random_messages.h"

namespace attend {
namespace {

constexpr uint64_t kFrameSeed = 20261128;
constexpr int kFrames = 2000;

std::string Join(const WireBytes& part) {
  std::string bytes(part.size(), '\0');
  part.Copy(part.span(), bytes.data());
  return bytes;
}

absl::StatusOr<PipelineFrame> ReadFrame(const std::string& bytes) {
  const absl::string_view chunk = bytes;
  return ReadPipelineFrame(WireBytes(absl::MakeConstSpan(&chunk, 1)));
}

v1::PipelineRequest RandomFrame(Random& random) {
  v1::PipelineRequest request;
  if (Chance(random, 0.9)) request.set_id(random() >> (random() % 64));
  if (Chance(random, 0.5)) {
    request.mutable_timeout()->set_seconds(Uniform(random, -100, 100));
    request.mutable_timeout()->set_nanos(static_cast<int32_t>(Uniform(random, -999, 999)));
  }
  switch (Uniform(random, 0, 2)) {
    case 0:
      *request.mutable_multi_head_attention() = RandomMultiHead(random);
      break;
    case 1:
      *request.mutable_scaled_dot_product_attention() = RandomScaledDotProduct(random);
      break;
    default:
      request.mutable_cancel();
  }
  return request;
}

TEST(PipelineFrameTest, ReadsWhatProtobufParses) {
  std::cout << "seed " << kFrameSeed << "\n";
  Random random(kFrameSeed);
  for (int round = 0; round < kFrames; ++round) {
    const v1::PipelineRequest proto = RandomFrame(random);
    const Sliced sliced(random, proto.SerializeAsString());
    const absl::StatusOr<PipelineFrame> frame = ReadPipelineFrame(sliced.bytes());
    ASSERT_TRUE(frame.ok()) << frame.status();
    EXPECT_EQ(frame->id, proto.id());
    ASSERT_EQ(frame->timeout.has_value(), proto.has_timeout());
    if (proto.has_timeout()) {
      EXPECT_EQ(*frame->timeout, absl::Seconds(proto.timeout().seconds()) +
                                     absl::Nanoseconds(proto.timeout().nanos()));
    }
    ASSERT_TRUE(frame->kind.ok());
    const std::string body = Join(frame->body);
    switch (*frame->kind) {
      case PipelineKind::kMultiHeadAttention:
        EXPECT_EQ(body, proto.multi_head_attention().SerializeAsString());
        break;
      case PipelineKind::kScaledDotProductAttention:
        EXPECT_EQ(body, proto.scaled_dot_product_attention().SerializeAsString());
        break;
      case PipelineKind::kCancel:
        EXPECT_TRUE(proto.has_cancel());
    }
  }
}

// What protobuf refuses is refused, or was in a part that is decoded later.
TEST(PipelineFrameTest, ReadsNothingOutsideABrokenMessage) {
  std::cout << "seed " << kFrameSeed << "\n";
  Random random(kFrameSeed);
  int refused = 0;
  for (int round = 0; round < kFrames; ++round) {
    const std::string bytes = Mutated(random, RandomFrame(random).SerializeAsString());
    const Sliced sliced(random, bytes);
    const absl::StatusOr<PipelineFrame> frame = ReadPipelineFrame(sliced.bytes());
    refused += !frame.ok();
    v1::PipelineRequest proto;
    if (!frame.ok() || !proto.ParseFromString(bytes)) continue;
    EXPECT_EQ(frame->id, proto.id());
  }
  EXPECT_GT(refused, 100);
}

TEST(PipelineFrameTest, HoldsExactlyOneKind) {
  v1::PipelineRequest proto;
  proto.set_id(3);
  const std::string none = proto.SerializeAsString();
  absl::StatusOr<PipelineFrame> frame = ReadFrame(none);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->id, 3u);
  EXPECT_EQ(GetErrorInfo(frame->kind.status()).reason, "MISSING_FIELD");
  proto.mutable_cancel();
  const std::string one = proto.SerializeAsString();
  proto.mutable_multi_head_attention();
  const std::string two = one + proto.SerializeAsString();
  frame = ReadFrame(two);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(GetErrorInfo(frame->kind.status()).reason, "CONFLICTING_FIELDS");
}

TEST(PipelineAnswerTest, IsWhatProtobufParses) {
  Response response;
  response.output = Tensor(DataType::kFloat32, {2, 3});
  response.layer_sha256 = "abc";
  for (const uint64_t id : {uint64_t{0}, uint64_t{5}, ~uint64_t{0}}) {
    std::string bytes;
    for (const EncodedPiece& piece : EncodePipelineResponse(
             id, PipelineKind::kMultiHeadAttention, EncodeMultiHeadAttentionResponse(response))) {
      bytes += piece.borrowed.empty() ? piece.header : std::string(piece.borrowed);
    }
    v1::PipelineResponse proto;
    ASSERT_TRUE(proto.ParseFromString(bytes));
    EXPECT_EQ(proto.id(), id);
    EXPECT_EQ(proto.multi_head_attention().layer_sha256(), "abc");
    EXPECT_EQ(proto.multi_head_attention().output().data().size(), 24u);
    EXPECT_FALSE(proto.has_status());

    v1::Status status;
    status.set_code(5);
    status.set_message("no");
    ASSERT_TRUE(proto.ParseFromString(EncodePipelineStatus(id, status.SerializeAsString())));
    EXPECT_EQ(proto.id(), id);
    EXPECT_EQ(proto.status().code(), 5);
    EXPECT_EQ(proto.status().message(), "no");
  }
}

}  // namespace
}  // namespace attend
