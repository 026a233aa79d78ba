// SPDX-License-Identifier: Apache-2.0

// The codec against protobuf's own parser, on random messages.

#include <iostream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/codec/request_decoder.h"
#include "tests/server/codec/matches_proto.h"
#include "tests/server/codec/random_messages.h"

namespace attend {
namespace {

constexpr uint64_t kSeed = 20240607;
constexpr int kRounds = 3000;
constexpr DecodeLimits kLimits{1000, 1000};

template <typename Proto>
struct Codec;
template <>
struct Codec<v1::MultiHeadAttentionRequest> {
  static auto Random(attend::Random& random) { return RandomMultiHead(random); }
  static auto Decode(const Sliced& s) {
    return DecodeMultiHeadAttentionRequest(s.bytes(), kLimits);
  }
};
template <>
struct Codec<v1::ScaledDotProductAttentionRequest> {
  static auto Random(attend::Random& random) { return RandomScaledDotProduct(random); }
  static auto Decode(const Sliced& s) {
    return DecodeScaledDotProductAttentionRequest(s.bytes(), kLimits);
  }
};

template <typename Proto>
class DecodePropertyTest : public testing::Test {
 protected:
  DecodePropertyTest() : random_(kSeed) { std::cout << "seed " << kSeed << "\n"; }
  Random random_;
};
using Requests =
    testing::Types<v1::MultiHeadAttentionRequest, v1::ScaledDotProductAttentionRequest>;
TYPED_TEST_SUITE(DecodePropertyTest, Requests);

TYPED_TEST(DecodePropertyTest, DecodesWhatProtobufParses) {
  for (int round = 0; round < kRounds; ++round) {
    const TypeParam proto = Codec<TypeParam>::Random(this->random_);
    const Sliced sliced(this->random_, proto.SerializeAsString());
    const auto request = Codec<TypeParam>::Decode(sliced);
    ASSERT_TRUE(request.ok()) << request.status() << "\n" << proto.DebugString();
    ASSERT_TRUE(Matches(*request, proto)) << proto.DebugString();
  }
}

// Two messages one after the other are their merge. Tensors merge too, so most
// pairs have shapes that no longer fit; without tensors in the second, all do.
TYPED_TEST(DecodePropertyTest, MergesAsProtobufDoes) {
  for (int round = 0; round < kRounds; ++round) {
    const TypeParam first = Codec<TypeParam>::Random(this->random_);
    TypeParam second = Codec<TypeParam>::Random(this->random_);
    second.clear_query();
    second.clear_key();
    second.clear_value();
    if (second.has_options()) {
      second.mutable_options()->clear_bias();
      second.mutable_options()->clear_mask();
      second.mutable_options()->clear_alibi_slopes();
    }
    const std::string bytes = first.SerializeAsString() + second.SerializeAsString();
    TypeParam merged;
    ASSERT_TRUE(merged.ParseFromString(bytes));
    const auto request = Codec<TypeParam>::Decode(Sliced(this->random_, bytes));
    ASSERT_TRUE(request.ok()) << request.status() << "\n" << merged.DebugString();
    ASSERT_TRUE(Matches(*request, merged)) << merged.DebugString();
  }
}

TYPED_TEST(DecodePropertyTest, NeverTakesMutatedBytesThatProtobufRefuses) {
  int accepted = 0;
  for (int round = 0; round < 10 * kRounds; ++round) {
    const std::string bytes =
        Mutated(this->random_, Codec<TypeParam>::Random(this->random_).SerializeAsString());
    const auto request = Codec<TypeParam>::Decode(Sliced(this->random_, bytes));
    if (!request.ok()) {
      ASSERT_THAT(request.status().code(), testing::AnyOf(absl::StatusCode::kInvalidArgument,
                                                          absl::StatusCode::kUnimplemented));
      continue;
    }
    ++accepted;
    TypeParam proto;
    ASSERT_TRUE(proto.ParseFromString(bytes));
    ASSERT_TRUE(Matches(*request, proto)) << proto.DebugString();
  }
  EXPECT_GT(accepted, kRounds) << "mutations leave too few messages whole to say anything";
}

TYPED_TEST(DecodePropertyTest, SurvivesRandomBytes) {
  for (int round = 0; round < kRounds; ++round) {
    std::string bytes(static_cast<size_t>(Uniform(this->random_, 0, 300)), '\0');
    for (char& c : bytes) c = static_cast<char>(this->random_());
    const auto request = Codec<TypeParam>::Decode(Sliced(this->random_, bytes));
    if (request.ok()) {
      TypeParam proto;
      ASSERT_TRUE(proto.ParseFromString(bytes));
    }
  }
}

}  // namespace
}  // namespace attend
