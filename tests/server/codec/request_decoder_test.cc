// SPDX-License-Identifier: Apache-2.0
#include "server/codec/request_decoder.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attend/v1/attention.pb.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/wire/writer.h"
#include "tests/server/codec/matches_proto.h"

namespace attend {
namespace {

using testing::HasSubstr;
using wire_writer::AppendMessage;
using wire_writer::AppendTag;
using wire_writer::AppendVarint;
using wire_writer::AppendVarintField;

constexpr DecodeLimits kSmallLimits{100, 16};

absl::StatusOr<MultiHeadAttentionRequest> Decode(const std::string& bytes) {
  const absl::string_view chunk = bytes;
  return DecodeMultiHeadAttentionRequest(WireBytes(absl::MakeConstSpan(&chunk, 1)), kSmallLimits);
}

absl::StatusOr<ScaledDotProductAttentionRequest> Decode(
    const v1::ScaledDotProductAttentionRequest& proto) {
  const std::string bytes = proto.SerializeAsString();
  const absl::string_view chunk = bytes;
  return DecodeScaledDotProductAttentionRequest(WireBytes(absl::MakeConstSpan(&chunk, 1)),
                                                kSmallLimits);
}

absl::StatusOr<MultiHeadAttentionRequest> Decode(const v1::MultiHeadAttentionRequest& proto) {
  return Decode(proto.SerializeAsString());
}

v1::MultiHeadAttentionRequest Request() {
  v1::MultiHeadAttentionRequest request;
  request.set_layer("layer");
  request.mutable_query()->set_data_type(v1::DATA_TYPE_FLOAT32);
  request.mutable_query()->add_shape(2);
  request.mutable_query()->add_shape(3);
  request.mutable_query()->set_data(std::string(24, 'x'));
  return request;
}

void ExpectRefused(const absl::StatusOr<MultiHeadAttentionRequest>& request, absl::StatusCode code,
                   absl::string_view reason, absl::string_view field, const std::string& text) {
  ASSERT_EQ(request.status().code(), code) << request.status();
  EXPECT_EQ(GetErrorInfo(request.status()).reason, reason);
  EXPECT_EQ(GetErrorInfo(request.status()).field, field);
  EXPECT_THAT(std::string(request.status().message()), HasSubstr(text));
}

void ExpectInvalid(const absl::StatusOr<MultiHeadAttentionRequest>& request,
                   absl::string_view field, const std::string& text,
                   absl::string_view reason = "INVALID_VALUE") {
  ExpectRefused(request, absl::StatusCode::kInvalidArgument, reason, field, text);
}

TEST(RequestDecoderTest, TakesShapeAfterDataAndUnpackedNumbers) {
  std::string tensor;
  AppendMessage(v1::Tensor::kDataFieldNumber, "ab", tensor);
  for (const uint64_t size : {1, 1}) {
    AppendTag(v1::Tensor::kShapeFieldNumber, WireType::kVarint, tensor);
    AppendVarint(size, tensor);
  }
  AppendVarintField(v1::Tensor::kDataTypeFieldNumber, v1::DATA_TYPE_BFLOAT16, tensor);
  std::string bytes;
  AppendMessage(v1::MultiHeadAttentionRequest::kQueryFieldNumber, tensor, bytes);
  const auto request = Decode(bytes);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->query.type(), DataType::kBFloat16);
  EXPECT_EQ(request->query.shape(), Shape({1, 1}));
}

TEST(RequestDecoderTest, MergesATensorGivenInTwoParts) {
  v1::MultiHeadAttentionRequest head = Request(), rest;
  head.mutable_query()->clear_data();
  rest.mutable_query()->set_data(std::string(24, 'y'));
  const std::string bytes = head.SerializeAsString() + rest.SerializeAsString();
  v1::MultiHeadAttentionRequest merged;
  ASSERT_TRUE(merged.ParseFromString(bytes));
  const auto request = Decode(bytes);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_TRUE(Matches(*request, merged));
}

TEST(RequestDecoderTest, TakesTheLastOfTwoScalars) {
  v1::MultiHeadAttentionRequest second;
  second.set_priority(v1::PRIORITY_LOW);
  second.set_layer("other");
  const auto request = Decode(Request().SerializeAsString() + second.SerializeAsString());
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->priority, Priority::kLow);
  EXPECT_EQ(request->layer, "other");
}

TEST(RequestDecoderTest, RefusesAMissingQuery) {
  v1::MultiHeadAttentionRequest request;
  request.set_layer("layer");
  ExpectInvalid(Decode(request), "query", "required", "MISSING_FIELD");
  ExpectInvalid(Decode(std::string()), "query", "required", "MISSING_FIELD");
}

TEST(RequestDecoderTest, RefusesAMissingKeyOrValueOfTheBareOperator) {
  v1::ScaledDotProductAttentionRequest request;
  *request.mutable_query() = Request().query();
  EXPECT_EQ(GetErrorInfo(Decode(request).status()).field, "key");
  *request.mutable_key() = Request().query();
  EXPECT_EQ(GetErrorInfo(Decode(request).status()).field, "value");
}

TEST(RequestDecoderTest, RefusesDataThatAreNotTheShapesSize) {
  v1::MultiHeadAttentionRequest request = Request();
  request.mutable_query()->mutable_data()->push_back('x');
  ExpectInvalid(Decode(request), "query.data", "has 25 bytes, but shape [2, 3] of FLOAT32 needs 24",
                "SHAPE_MISMATCH");
}

TEST(RequestDecoderTest, RefusesAShapeWhoseProductOverflows) {
  v1::MultiHeadAttentionRequest request = Request();
  request.mutable_query()->clear_shape();
  for (int i = 0; i < 4; ++i) request.mutable_query()->add_shape(int64_t{1} << 20);
  ExpectInvalid(Decode(request), "query.shape", "does not fit 64 bits");
}

// Nothing may be allocated for the size that the shape promises.
TEST(RequestDecoderTest, RefusesAHugeShapeWithoutItsData) {
  v1::MultiHeadAttentionRequest request = Request();
  request.mutable_query()->clear_shape();
  request.mutable_query()->add_shape(int64_t{1} << 60);
  ExpectInvalid(Decode(request), "query.data", "needs 4611686018427387904", "SHAPE_MISMATCH");
}

TEST(RequestDecoderTest, RefusesANegativeSize) {
  v1::MultiHeadAttentionRequest request = Request();
  request.mutable_query()->set_shape(0, -2);
  ExpectInvalid(Decode(request), "query.shape", "negative");
}

TEST(RequestDecoderTest, RefusesMoreAxesThanAnyTensorHas) {
  v1::MultiHeadAttentionRequest request = Request();
  for (int i = 0; i < 9; ++i) request.mutable_query()->add_shape(1);
  ExpectInvalid(Decode(request), "query.shape", "more than 8", "TOO_LARGE");
}

TEST(RequestDecoderTest, RefusesMoreListElementsThanItsBounds) {
  v1::MultiHeadAttentionRequest lengths = Request(), offsets = Request(), gates = Request(),
                                sinks = Request();
  for (size_t i = 0; i <= kSmallLimits.max_sequences; ++i) {
    lengths.add_query_lengths(0);
    offsets.mutable_options()->add_query_offsets(0);
  }
  for (size_t i = 0; i <= kSmallLimits.max_heads; ++i) {
    gates.mutable_options()->add_head_gates(1);
    sinks.mutable_options()->add_sinks(1);
  }
  ExpectInvalid(Decode(lengths), "query_lengths", "more than 100", "TOO_LARGE");
  ExpectInvalid(Decode(offsets), "options.query_offsets", "more than 100", "TOO_LARGE");
  ExpectInvalid(Decode(gates), "options.head_gates", "more than 16", "TOO_LARGE");
  ExpectInvalid(Decode(sinks), "options.sinks", "more than 16", "TOO_LARGE");
}

// Fields of two bytes would keep a network thread busy for seconds.
TEST(RequestDecoderTest, RefusesMoreFieldsThanAnyRequestHas) {
  using Wire = v1::MultiHeadAttentionRequest;
  const auto repeat = [](size_t count, int field) {
    std::string bytes;
    for (size_t i = 0; i < count; ++i) AppendVarintField(field, 1, bytes);
    return bytes;
  };
  const std::string start = Request().SerializeAsString();
  const size_t few = kSmallLimits.MaxFields() - 10;
  for (const int field : {900, int{Wire::kPriorityFieldNumber}}) {
    EXPECT_TRUE(Decode(start + repeat(few, field)).ok());
    ExpectRefused(Decode(start + repeat(few + 11, field)), absl::StatusCode::kInvalidArgument,
                  "UNDECODABLE", "",
                  absl::StrCat("more than ", kSmallLimits.MaxFields(), " fields"));
  }
  std::string group = start;
  AppendTag(902, WireType::kStartGroup, group);
  group += repeat(kSmallLimits.MaxFields(), 1);
  AppendTag(902, WireType::kEndGroup, group);
  ExpectRefused(Decode(group), absl::StatusCode::kInvalidArgument, "UNDECODABLE", "", "more than");

  // Lists that are as long as they may be, with a field for each element.
  std::string lists = start + repeat(kSmallLimits.max_sequences, Wire::kQueryLengthsFieldNumber) +
                      repeat(kSmallLimits.max_sequences, Wire::kKeyLengthsFieldNumber);
  const auto request = Decode(lists + repeat(few - 2 * kSmallLimits.max_sequences, 900));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->key_lengths.size(), kSmallLimits.max_sequences);
}

TEST(RequestDecoderTest, RefusesAMissingOrUnknownDataType) {
  v1::MultiHeadAttentionRequest request = Request();
  request.mutable_query()->clear_data_type();
  ExpectInvalid(Decode(request), "query.data_type", "missing", "MISSING_FIELD");
  request.mutable_query()->set_data_type(static_cast<v1::DataType>(77));
  ExpectInvalid(Decode(request), "query.data_type", "77", "UNKNOWN_ENUM_VALUE");
}

TEST(RequestDecoderTest, RefusesUnknownEnumValuesOfOptions) {
  v1::MultiHeadAttentionRequest request = Request();
  request.mutable_options()->set_alignment(static_cast<v1::Alignment>(3));
  ExpectInvalid(Decode(request), "options.alignment", "3", "UNKNOWN_ENUM_VALUE");
  request.mutable_options()->clear_alignment();
  request.mutable_options()->set_weights(static_cast<v1::Weights>(-1));
  ExpectInvalid(Decode(request), "options.weights", "-1", "UNKNOWN_ENUM_VALUE");
  request.mutable_options()->clear_weights();
  request.mutable_options()->set_weights_stage(static_cast<v1::WeightsStage>(5));
  ExpectInvalid(Decode(request), "options.weights_stage", "5", "UNKNOWN_ENUM_VALUE");
}

TEST(RequestDecoderTest, ReadsEveryPriorityAndRefusesOthers) {
  v1::MultiHeadAttentionRequest request = Request();
  const std::vector<std::pair<v1::Priority, Priority>> known = {
      {v1::PRIORITY_UNSPECIFIED, Priority::kNormal},
      {v1::PRIORITY_HIGH, Priority::kHigh},
      {v1::PRIORITY_NORMAL, Priority::kNormal},
      {v1::PRIORITY_LOW, Priority::kLow}};
  for (const auto& [wire, core] : known) {
    request.set_priority(wire);
    const auto decoded = Decode(request);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->priority, core);
  }
  for (const int unknown : {4, -1}) {
    request.set_priority(static_cast<v1::Priority>(unknown));
    ExpectInvalid(Decode(request), "priority", absl::StrCat("unknown value ", unknown),
                  "UNKNOWN_ENUM_VALUE");
  }
}

TEST(RequestDecoderTest, DoesNotMisreadThePriorityOfOldClientsWhichWasANumber) {
  std::string bytes = Request().SerializeAsString();
  AppendVarintField(8, 1, bytes);
  const auto request = Decode(bytes);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->priority, Priority::kNormal);
}

TEST(RequestDecoderTest, RefusesAnUnknownFieldInsideOptionsByItsNumber) {
  // The lowest number that no field has, which the next version will use.
  int next = 0;
  const auto* fields = v1::AttentionOptions::descriptor();
  for (int i = 0; i < fields->field_count(); ++i) {
    next = std::max(next, fields->field(i)->number() + 1);
  }
  for (const auto& [number, in_tensor] :
       std::vector<std::pair<int, bool>>{{next, false}, {900, false}, {900, true}}) {
    std::string options;
    AppendVarintField(number, 1, options);
    if (in_tensor) {
      std::string tensor;
      tensor.swap(options);
      AppendMessage(v1::AttentionOptions::kBiasFieldNumber, tensor, options);
    }
    std::string bytes = Request().SerializeAsString();
    AppendMessage(v1::MultiHeadAttentionRequest::kOptionsFieldNumber, options, bytes);
    ExpectRefused(Decode(bytes), absl::StatusCode::kUnimplemented, "UNKNOWN_OPTION",
                  in_tensor ? "options.bias" : "options", absl::StrCat("field ", number, ","));
  }
}

TEST(RequestDecoderTest, SkipsUnknownFieldsElsewhere) {
  std::string bytes = Request().SerializeAsString();
  AppendVarintField(900, 1, bytes);
  AppendMessage(901, "text", bytes);
  AppendTag(902, WireType::kStartGroup, bytes);
  AppendMessage(1, "inside", bytes);
  AppendTag(902, WireType::kEndGroup, bytes);
  std::string tensor;
  AppendVarintField(900, 1, tensor);
  AppendMessage(v1::MultiHeadAttentionRequest::kQueryFieldNumber, tensor, bytes);
  const auto request = Decode(bytes);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_TRUE(Matches(*request, Request()));
}

TEST(RequestDecoderTest, RefusesGroupsThatDoNotMatchOrAreTooDeep) {
  std::string crossed = Request().SerializeAsString();
  AppendTag(902, WireType::kStartGroup, crossed);
  AppendTag(903, WireType::kEndGroup, crossed);
  std::string deep = Request().SerializeAsString();
  for (int i = 0; i < 101; ++i) AppendTag(902, WireType::kStartGroup, deep);
  for (int i = 0; i < 101; ++i) AppendTag(902, WireType::kEndGroup, deep);
  std::string stray = Request().SerializeAsString();
  AppendTag(902, WireType::kEndGroup, stray);
  for (const std::string& bytes : {crossed, deep, stray}) {
    ExpectRefused(Decode(bytes), absl::StatusCode::kInvalidArgument, "UNDECODABLE", "",
                  "cannot be decoded");
  }
}

TEST(RequestDecoderTest, RefusesANameThatIsNotUtf8OrTooLong) {
  std::string bytes = Request().SerializeAsString();
  AppendMessage(v1::MultiHeadAttentionRequest::kLayerFieldNumber, "\xC0\x80", bytes);
  ExpectInvalid(Decode(bytes), "layer", "UTF-8");
  v1::MultiHeadAttentionRequest request = Request();
  request.set_layer(std::string(kMaxNameBytes + 1, 'x'));
  ExpectInvalid(Decode(request), "layer", "is 257 bytes long; the limit is 256", "TOO_LARGE");
}

TEST(RequestDecoderTest, RefusesAFieldOfAnotherWireType) {
  std::string bytes = Request().SerializeAsString();
  AppendMessage(v1::MultiHeadAttentionRequest::kPriorityFieldNumber, "1", bytes);
  ExpectRefused(Decode(bytes), absl::StatusCode::kInvalidArgument, "UNDECODABLE", "priority",
                "cannot be decoded");
}

// Lengths of one byte in the message take eight in memory, which nobody had charged.
TEST(RequestDecoderTest, CountsTheMemoryOfListsWhichTakeMoreThanTheirBytes) {
  v1::MultiHeadAttentionRequest proto = Request();
  for (size_t i = 0; i < kSmallLimits.max_sequences; ++i) {
    proto.add_query_lengths(1);
    proto.add_key_lengths(1);
    proto.mutable_options()->add_query_offsets(1);
  }
  auto request = Decode(proto);
  ASSERT_TRUE(request.ok()) << request.status();
  const size_t least = 3 * kSmallLimits.max_sequences * sizeof(int64_t);
  const size_t bytes = ListBytes(attend::Request(*std::move(request)));
  EXPECT_GE(bytes, least);
  EXPECT_LE(bytes, 2 * least);
  EXPECT_EQ(ListBytes(attend::Request(*Decode(Request()))), 0u);
}

TEST(RequestDecoderTest, RefusesEveryTruncation) {
  v1::MultiHeadAttentionRequest request = Request();
  request.mutable_options()->add_head_gates(0.5f);
  const std::string bytes = request.SerializeAsString();
  // A message cut at a field's end is a shorter whole message.
  const std::string whole = Request().SerializeAsString();
  for (size_t size = 0; size < bytes.size(); ++size) {
    if (size == whole.size()) continue;
    EXPECT_FALSE(Decode(bytes.substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace attend
