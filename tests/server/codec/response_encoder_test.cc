// SPDX-License-Identifier: Apache-2.0
#include "server/codec/response_encoder.h"

#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "attend/v1/attention.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/codec/byte_buffer.h"
#include "tests/server/codec/matches_proto.h"
#include "tests/server/codec/random_messages.h"

namespace attend {
namespace {

Tensor RandomTensor(Random& random, DataType type) {
  Shape shape;
  for (int64_t rank = Uniform(random, 0, 4); rank > 0; --rank) {
    shape.push_back(Uniform(random, Chance(random, 0.1) ? 0 : 1, 12));
  }
  Tensor tensor(type, shape);
  for (size_t i = 0; i < tensor.byte_size(); ++i) {
    tensor.as<uint8_t>()[i] = static_cast<uint8_t>(random());
  }
  return tensor;
}

Response RandomResponse(Random& random) {
  Response response;
  response.output = RandomTensor(random, static_cast<DataType>(Uniform(random, 0, 2)));
  if (Chance(random, 0.5)) response.weights = RandomTensor(random, DataType::kFloat32);
  if (Chance(random, 0.5)) response.log_sum_exp = RandomTensor(random, DataType::kFloat32);
  response.layer_sha256 = std::string(64, 'a');
  for (int64_t count = Uniform(random, 0, 3); count > 0; --count) {
    response.warnings.push_back(std::string(static_cast<size_t>(Uniform(random, 0, 300)), 'w'));
  }
  if (Chance(random, 0.9)) {
    response.timing.queue = absl::Nanoseconds(Uniform(random, 0, 1'000'000'000'000));
    response.timing.compute = absl::Nanoseconds(Uniform(random, 0, 1'000'000'000'000));
    response.timing.batch_requests = Uniform(random, 0, 300);
    response.timing.batch_tokens = Uniform(random, 0, 100'000);
  }
  return response;
}

std::string Join(const std::vector<EncodedPiece>& pieces) {
  std::string bytes;
  for (const EncodedPiece& piece : pieces) {
    bytes += piece.header;
    bytes.append(piece.borrowed.data(), piece.borrowed.size());
  }
  return bytes;
}

template <typename Proto>
void ExpectSame(const Proto& proto, const Response& response) {
  EXPECT_TRUE(Matches(response.output, proto.output())) << proto.DebugString();
  ASSERT_EQ(proto.has_weights(), response.weights.has_value());
  if (proto.has_weights()) {
    EXPECT_TRUE(Matches(*response.weights, proto.weights())) << proto.DebugString();
  }
  ASSERT_EQ(proto.has_log_sum_exp(), response.log_sum_exp.has_value());
  if (proto.has_log_sum_exp()) {
    EXPECT_TRUE(Matches(*response.log_sum_exp, proto.log_sum_exp())) << proto.DebugString();
  }
  EXPECT_EQ(proto.timing().queue_ns(), absl::ToInt64Nanoseconds(response.timing.queue));
  EXPECT_EQ(proto.timing().compute_ns(), absl::ToInt64Nanoseconds(response.timing.compute));
  EXPECT_EQ(proto.timing().batch_requests(), response.timing.batch_requests);
  EXPECT_EQ(proto.timing().batch_tokens(), response.timing.batch_tokens);
}

TEST(ResponseEncoderTest, GeneratedClassesParseWhatItEncodes) {
  constexpr uint64_t kResponseSeed = 1;
  std::cout << "seed " << kResponseSeed << "\n";
  Random random(kResponseSeed);
  for (int round = 0; round < 2000; ++round) {
    const Response response = RandomResponse(random);
    v1::MultiHeadAttentionResponse multi_head;
    ASSERT_TRUE(multi_head.ParseFromString(Join(EncodeMultiHeadAttentionResponse(response))));
    ExpectSame(multi_head, response);
    EXPECT_EQ(multi_head.layer_sha256(), response.layer_sha256);
    EXPECT_THAT(multi_head.warnings(), testing::ElementsAreArray(response.warnings));
    v1::ScaledDotProductAttentionResponse bare;
    ASSERT_TRUE(bare.ParseFromString(Join(EncodeScaledDotProductAttentionResponse(response))));
    ExpectSame(bare, response);
  }
}

TEST(ResponseEncoderTest, BorrowsResults) {
  Random random(2);
  Response response;
  response.output = Tensor(DataType::kFloat32, {2, 3});
  std::memset(response.output.data(), 0, response.output.byte_size());
  const std::vector<EncodedPiece> pieces = EncodeMultiHeadAttentionResponse(response);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(static_cast<const void*>(pieces[1].borrowed.data()), response.output.data());
}

TEST(ByteBufferTest, KeepsTheResponseUntilTheLastByteIsLetGo) {
  Random random(3);
  auto response = std::make_shared<Response>(RandomResponse(random));
  response->output = Tensor(DataType::kFloat32, {100, 100});
  std::memset(response->output.data(), 7, response->output.byte_size());
  const std::weak_ptr<Response> alive = response;
  const std::vector<EncodedPiece> pieces = EncodeMultiHeadAttentionResponse(*response);
  grpc::ByteBuffer buffer = MakeByteBuffer(std::move(response), pieces);
  EXPECT_FALSE(alive.expired());
  grpc::ByteBuffer sent = buffer;
  buffer.Clear();
  EXPECT_FALSE(alive.expired());
  const absl::StatusOr<WireBytes> message = OpenMessage(sent);
  ASSERT_TRUE(message.ok());
  std::string bytes(message->size(), '\0');
  message->Copy(message->span(), bytes.data());
  v1::MultiHeadAttentionResponse proto;
  ASSERT_TRUE(proto.ParseFromString(bytes));
  EXPECT_EQ(proto.output().data(), std::string(40000, '\7'));
}

TEST(ByteBufferTest, RefusesABufferWithoutAMessage) {
  EXPECT_EQ(OpenMessage(grpc::ByteBuffer()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attend
