// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <new>
#include <random>

#include "attend/v1/attention.pb.h"
#include "client/cpp/status.h"
#include "google/protobuf/util/message_differencer.h"
#include "grpcpp/support/slice.h"
#include "tests/client/cpp/wire_bytes.h"
#include "tests/support/byte_buffers.h"

namespace attend::client::internal {
namespace {

using google::protobuf::util::MessageDifferencer;

template <typename T>
void SetTensor(v1::Tensor* tensor, v1::DataType type, const std::vector<T>& values,
               std::vector<int64_t> shape) {
  tensor->set_data_type(type);
  for (const int64_t size : shape) tensor->add_shape(size);
  tensor->set_data(
      std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
}

TEST(EncodeTest, EveryFieldOfAMultiHeadAttentionRequestParsesWithTheGeneratedClass) {
  const std::vector<float> query = {1, 2, 3, 4};
  const std::vector<float> key = {5, 6};
  const std::vector<float> value = {7, 8};
  const std::vector<float> bias = {-1, 0.5};
  const bool mask[] = {true, false};
  MultiHeadAttentionRequest request;
  request.layer = "model/0";
  request.query = {query, {2, 2}};
  request.key = {key, {1, 2}};
  request.value = {value, {1, 2}};
  request.query_lengths = {0, 300};
  request.key_lengths = {1, 70000};
  request.options.scale = 0.0f;  // given, though 0
  request.options.causal = true;
  request.options.alignment = Alignment::kEnd;
  request.options.query_offsets = {-5, int64_t{1} << 40};
  request.options.bias = {bias, {1, 2}};
  request.options.mask = {absl::MakeConstSpan(mask), {2}};
  request.options.head_gates = {0.0f, 1.5f};
  request.options.window_left = 0;
  request.options.window_right = int64_t{1} << 40;
  request.options.softcap = 30.0f;
  request.options.alibi_slopes = {bias, {2}};
  request.options.sinks = {0.0f, -2.0f};
  request.options.weights = Weights::kPerHead;
  request.options.weights_stage = WeightsStage::kBiased;
  request.options.log_sum_exp = true;
  request.priority = Priority::kLow;

  v1::MultiHeadAttentionRequest expected;
  expected.set_layer("model/0");
  SetTensor(expected.mutable_query(), v1::DATA_TYPE_FLOAT32, query, {2, 2});
  SetTensor(expected.mutable_key(), v1::DATA_TYPE_FLOAT32, key, {1, 2});
  SetTensor(expected.mutable_value(), v1::DATA_TYPE_FLOAT32, value, {1, 2});
  expected.add_query_lengths(0);
  expected.add_query_lengths(300);
  expected.add_key_lengths(1);
  expected.add_key_lengths(70000);
  v1::AttentionOptions* options = expected.mutable_options();
  options->set_scale(0.0f);
  options->set_causal(true);
  options->set_alignment(v1::ALIGNMENT_END);
  options->add_query_offsets(-5);
  options->add_query_offsets(int64_t{1} << 40);
  SetTensor(options->mutable_bias(), v1::DATA_TYPE_FLOAT32, bias, {1, 2});
  SetTensor(options->mutable_mask(), v1::DATA_TYPE_BOOL, std::vector<uint8_t>{1, 0}, {2});
  options->set_window_left(0);
  options->set_window_right(int64_t{1} << 40);
  options->set_softcap(30.0f);
  SetTensor(options->mutable_alibi_slopes(), v1::DATA_TYPE_FLOAT32, bias, {2});
  options->add_sinks(0.0f);
  options->add_sinks(-2.0f);
  options->set_weights_stage(v1::WEIGHTS_STAGE_BIASED);
  options->set_log_sum_exp(true);
  options->add_head_gates(0.0f);
  options->add_head_gates(1.5f);
  options->set_weights(v1::WEIGHTS_PER_HEAD);
  expected.set_priority(v1::PRIORITY_LOW);

  const absl::StatusOr<Prepared> prepared = Encode(request);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  v1::MultiHeadAttentionRequest parsed;
  ASSERT_TRUE(parsed.ParseFromString(Flatten(prepared->message)));
  EXPECT_TRUE(MessageDifferencer::Equals(parsed, expected)) << parsed.DebugString();
  EXPECT_EQ(Flatten(prepared->message), expected.SerializeAsString());
}

TEST(EncodeTest, EveryFieldOfAScaledDotProductAttentionRequestParsesWithTheGeneratedClass) {
  const std::vector<BFloat16> query(4, ToBFloat16(1.5f));
  ScaledDotProductAttentionRequest request;
  request.query = {query, {1, 1, 2, 2}};
  request.key = request.query;
  request.value = request.query;
  request.query_lengths = {1};
  request.key_lengths = {1};
  request.options.weights = Weights::kMean;
  request.layout = Layout::kBhld;
  request.priority = Priority::kHigh;

  v1::ScaledDotProductAttentionRequest expected;
  for (v1::Tensor* tensor :
       {expected.mutable_query(), expected.mutable_key(), expected.mutable_value()}) {
    SetTensor(tensor, v1::DATA_TYPE_BFLOAT16, query, {1, 1, 2, 2});
  }
  expected.add_query_lengths(1);
  expected.add_key_lengths(1);
  expected.mutable_options()->set_weights(v1::WEIGHTS_MEAN);
  expected.set_layout(v1::LAYOUT_BHLD);
  expected.set_priority(v1::PRIORITY_HIGH);

  const absl::StatusOr<Prepared> prepared = Encode(request);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(Flatten(prepared->message), expected.SerializeAsString());
}

// Enum values are written as plain numbers: they must equal the wire's.
static_assert(static_cast<int>(DataType::kFloat32) == v1::DATA_TYPE_FLOAT32);
static_assert(static_cast<int>(DataType::kBFloat16) == v1::DATA_TYPE_BFLOAT16);
static_assert(static_cast<int>(DataType::kFloat16) == v1::DATA_TYPE_FLOAT16);
static_assert(static_cast<int>(DataType::kBool) == v1::DATA_TYPE_BOOL);
static_assert(static_cast<int>(Alignment::kStart) == v1::ALIGNMENT_START);
static_assert(static_cast<int>(Alignment::kEnd) == v1::ALIGNMENT_END);
static_assert(static_cast<int>(Weights::kPerHead) == v1::WEIGHTS_PER_HEAD);
static_assert(static_cast<int>(Weights::kMean) == v1::WEIGHTS_MEAN);
static_assert(static_cast<int>(WeightsStage::kScaled) == v1::WEIGHTS_STAGE_SCALED);
static_assert(static_cast<int>(WeightsStage::kSoftcapped) == v1::WEIGHTS_STAGE_SOFTCAPPED);
static_assert(static_cast<int>(WeightsStage::kBiased) == v1::WEIGHTS_STAGE_BIASED);
static_assert(static_cast<int>(Layout::kBlhd) == v1::LAYOUT_BLHD);
static_assert(static_cast<int>(Layout::kBhld) == v1::LAYOUT_BHLD);

TEST(EncodeTest, LargeOwnedTensorsAreNotCopied) {
  const auto owned = std::make_shared<std::vector<float>>(100000, 1.0f);
  const std::vector<float> plain(100000, 2.0f);
  MultiHeadAttentionRequest request;
  request.layer = "l";
  request.query = {*owned, {1, 1000, 100}, owned};
  request.key = {plain, {1, 1000, 100}};
  {
    absl::StatusOr<Prepared> prepared = Encode(request);
    ASSERT_TRUE(prepared.ok());
    std::vector<grpc::Slice> slices;
    ASSERT_TRUE(prepared->message.Dump(&slices).ok());
    ASSERT_EQ(slices.size(), 3u);  // header, query's own memory, the rest in one
    EXPECT_EQ(static_cast<const void*>(slices[1].begin()), owned->data());
    v1::MultiHeadAttentionRequest parsed;
    ASSERT_TRUE(parsed.ParseFromString(Flatten(prepared->message)));
    EXPECT_EQ(parsed.query().data().size(), 400000u);
    EXPECT_EQ(std::memcmp(parsed.key().data().data(), plain.data(), 400000), 0);
    request.query = {};
    EXPECT_GT(owned.use_count(), 1);
  }
  EXPECT_EQ(owned.use_count(), 1);  // released with the last slice
}

TEST(EncodeTest, RefusesAShapeThatDoesNotFitNamingTheField) {
  const std::vector<float> four(4);
  MultiHeadAttentionRequest request;
  request.query = {four, {2, 2}};
  request.key = {four, {2, 3}};
  absl::Status status = Encode(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "key: shape [2, 3] of float32 needs 24 bytes, got 16");
  EXPECT_EQ(GetErrorDetails(status).field, "key");
  EXPECT_EQ(GetErrorDetails(status).reason, "INVALID_TENSOR");
  EXPECT_EQ(GetErrorDetails(status).attempts, 0);

  request.key = {four, {-2, -2}};
  EXPECT_FALSE(Encode(request).ok());
  request.key = {four, {int64_t{1} << 40, int64_t{1} << 40}};
  EXPECT_FALSE(Encode(request).ok());
  request.key = {};
  request.query = {};
  EXPECT_EQ(GetErrorDetails(Encode(request).status()).reason, "MISSING_TENSOR");
}

v1::MultiHeadAttentionResponse SomeResponse() {
  v1::MultiHeadAttentionResponse response;
  SetTensor(response.mutable_output(), v1::DATA_TYPE_FLOAT32, std::vector<float>(600, 2.5f),
            {2, 300});
  SetTensor(response.mutable_weights(), v1::DATA_TYPE_FLOAT32, std::vector<float>{1}, {1, 1, 1});
  response.set_layer_sha256("0123");
  response.add_warnings("one");
  response.add_warnings("two");
  response.mutable_timing()->set_queue_ns(5000);
  response.mutable_timing()->set_compute_ns(7000);
  response.mutable_timing()->set_batch_requests(2);
  response.mutable_timing()->set_batch_tokens(33);
  SetTensor(response.mutable_log_sum_exp(), v1::DATA_TYPE_FLOAT32, std::vector<float>{4, 5},
            {2, 1});
  return response;
}

TEST(DecodeTest, BoundsWarnings) {
  v1::MultiHeadAttentionResponse many = SomeResponse();
  for (int i = 0; i < 1000; ++i) many.add_warnings("more");
  const auto result = Decode(Split(many.SerializeAsString(), 100), kMultiHeadAttentionFields);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->warnings.size(), 16u);
  v1::MultiHeadAttentionResponse large = SomeResponse();
  large.add_warnings(std::string(5000, 'x'));
  EXPECT_EQ(
      Decode(Split(large.SerializeAsString(), 100), kMultiHeadAttentionFields).status().code(),
      absl::StatusCode::kDataLoss);
}

TEST(DecodeTest, ReadsWhatTheGeneratedClassWritesHoweverItIsSliced) {
  const std::string bytes = SomeResponse().SerializeAsString();
  for (const size_t slice : {1ul, 2ul, 7ul, 100ul, bytes.size()}) {
    grpc::ByteBuffer buffer = Split(bytes, slice);
    const absl::StatusOr<AttentionResponse> result = Decode(buffer, kMultiHeadAttentionFields);
    ASSERT_TRUE(result.ok()) << slice;
    EXPECT_EQ(result->output.shape(), Shape({2, 300}));
    EXPECT_EQ(result->output.ToFloats(), std::vector<float>(600, 2.5f));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(result->output.data()) % 64, 0u);
    ASSERT_TRUE(result->weights.has_value());
    EXPECT_EQ(result->weights->shape(), Shape({1, 1, 1}));
    ASSERT_TRUE(result->log_sum_exp.has_value());
    EXPECT_EQ(result->log_sum_exp->shape(), Shape({2, 1}));
    EXPECT_EQ(result->log_sum_exp->ToFloats(), std::vector<float>({4, 5}));
    EXPECT_EQ(result->layer_sha256, "0123");
    EXPECT_EQ(result->warnings, std::vector<std::string>({"one", "two"}));
    EXPECT_EQ(result->timing.queue, absl::Microseconds(5));
    EXPECT_EQ(result->timing.compute, absl::Microseconds(7));
    EXPECT_EQ(result->timing.batch_requests, 2);
    EXPECT_EQ(result->timing.batch_tokens, 33);
    EXPECT_FALSE(result->output.values<BFloat16>().ok());
  }
}

TEST(DecodeTest, SkipsUnknownFields) {
  std::string bytes = SomeResponse().SerializeAsString();
  bytes += "\xa2\x06\x03xyz";  // field 100, three bytes
  grpc::ByteBuffer buffer = Split(bytes, bytes.size());
  EXPECT_TRUE(Decode(buffer, kMultiHeadAttentionFields).ok());
}

TEST(DecodeTest, RefusesEveryTruncation) {
  const std::string bytes = SomeResponse().SerializeAsString();
  int whole = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    grpc::ByteBuffer buffer = Split(bytes.substr(0, size), 64);
    if (size > 0) whole += Decode(buffer, kMultiHeadAttentionFields).ok();
  }
  // A message cut between fields is a shorter message; one cut before the first field is
  // invalid.
  EXPECT_EQ(whole, 6);
}

TEST(DecodeTest, SurvivesRandomDamage) {
  const unsigned seed = 20240917;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string bytes = SomeResponse().SerializeAsString();
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = bytes.substr(0, 1 + random() % bytes.size());
    for (int k = 0; k < 3; ++k)
      damaged[random() % std::min<size_t>(damaged.size(), 40)] ^= random();
    grpc::ByteBuffer buffer = Split(damaged, 1 + random() % 200);
    const absl::StatusOr<AttentionResponse> result = Decode(buffer, kMultiHeadAttentionFields);
    if (result.ok()) {
      EXPECT_TRUE(result->output.view().Validate().ok());
    } else {
      EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
    }
  }
}

TEST(DecodeTest, LackOfMemoryIsResourceExhausted) {
  const std::string bytes = SomeResponse().SerializeAsString();
  const grpc::ByteBuffer buffer = Split(bytes, bytes.size());
  const auto code = [&](Allocate allocate) {
    return Decode(buffer, kMultiHeadAttentionFields, {}, allocate).status().code();
  };
  EXPECT_EQ(code([](size_t) { return std::shared_ptr<void>(); }),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code([](size_t) -> std::shared_ptr<void> { throw std::bad_alloc(); }),
            absl::StatusCode::kResourceExhausted);
}

TEST(DecodeTest, AllocatesOnlyWhatTheMessageHolds) {
  std::vector<size_t> sizes;
  const auto allocate = [&](size_t size) {
    sizes.push_back(size);
    return AllocateAligned(size);
  };
  const auto decode = [&](const std::string& bytes) {
    return Decode(Split(bytes, 100), kMultiHeadAttentionFields, {}, allocate).ok();
  };
  EXPECT_TRUE(decode(SomeResponse().SerializeAsString()));
  EXPECT_EQ(sizes, std::vector<size_t>({2400, 4, 8}));
  sizes.clear();
  EXPECT_FALSE(decode(BytesField(1, FloatTensor({1ull << 40}, 1))));
  EXPECT_FALSE(decode(BytesField(1, "\x08\x01\x1a\xff\xff\xff\xff\x0f")));
  EXPECT_EQ(sizes.size(), 0u);
}

TEST(DecodeTest, ABufferReceivesItsTensor) {
  const std::string bytes = SomeResponse().SerializeAsString();
  std::vector<float> output(600);
  float log_sum_exp[2] = {};
  ResponseBuffers buffers;
  buffers.output = output;
  buffers.log_sum_exp = absl::MakeSpan(log_sum_exp);
  const absl::StatusOr<AttentionResponse> result =
      Decode(Split(bytes, 100), kMultiHeadAttentionFields, buffers);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(output, std::vector<float>(600, 2.5f));
  EXPECT_EQ(result->output.data(), output.data());
  EXPECT_EQ(result->output.shape(), Shape({2, 300}));
  EXPECT_EQ(log_sum_exp[1], 5);
  EXPECT_EQ(result->weights->ToFloats(), std::vector<float>({1}));  // owns its elements
}

TEST(DecodeTest, ABufferThatDoesNotFitIsNamed) {
  const std::string bytes = SomeResponse().SerializeAsString();
  const auto status = [&](const ResponseBuffers& buffers) {
    return Decode(Split(bytes, 100), kMultiHeadAttentionFields, buffers).status();
  };
  std::vector<float> small(599);
  EXPECT_EQ(status({.output = small}).message(),
            "buffers.output: is 2396 bytes of float32, but the response holds 2400 bytes of "
            "float32");
  EXPECT_EQ(GetErrorDetails(status({.output = small})).reason, "BUFFER_MISMATCH");
  std::vector<BFloat16> other_type(1200);
  EXPECT_EQ(GetErrorDetails(status({.output = other_type})).field, "buffers.output");

  v1::MultiHeadAttentionResponse without = SomeResponse();
  without.clear_weights();
  const std::string shorter = without.SerializeAsString();
  std::vector<float> one(1);
  const absl::Status missing =
      Decode(Split(shorter, 100), kMultiHeadAttentionFields, {.weights = one}).status();
  EXPECT_EQ(GetErrorDetails(missing).field, "buffers.weights");
}

TEST(DecodeTest, AShapeMayComeAsSingleNumbers) {
  const std::string bytes =
      BytesField(1, VarintField(1, 1) + VarintField(2, 1) + VarintField(2, 2) +
                        BytesField(3, std::string(8, '\0')));
  const absl::StatusOr<AttentionResponse> result =
      Decode(Split(bytes, 1), kMultiHeadAttentionFields);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output.shape(), Shape({1, 2}));
}

TEST(ErrorInfoTest, ReadsReasonDomainAndField) {
  // google.rpc.Status{code: 3, message: "m", details: [Any(ErrorInfo)]}, by hand.
  const auto field = [](int number, const std::string& bytes) {
    return std::string(1, static_cast<char>(number << 3 | 2)) +
           std::string(1, static_cast<char>(bytes.size())) + bytes;
  };
  const std::string info = field(1, "BAD_SHAPE") + field(2, "attend") +
                           field(3, field(1, "other") + field(2, "x")) +
                           field(3, field(1, "field") + field(2, "query"));
  const std::string status =
      std::string("\x08\x03") + field(2, "m") +
      field(3, field(1, "type.googleapis.com/other.Detail") + field(2, "zz")) +
      field(3, field(1, "type.googleapis.com/google.rpc.ErrorInfo") + field(2, info));
  ErrorDetails details;
  ReadErrorInfo(status, &details);
  EXPECT_EQ(details.reason, "BAD_SHAPE");
  EXPECT_EQ(details.domain, "attend");
  EXPECT_EQ(details.field, "query");
  for (size_t size = 0; size < status.size(); ++size) {
    ErrorDetails ignored;
    ReadErrorInfo(status.substr(0, size), &ignored);
  }
}

}  // namespace
}  // namespace attend::client::internal
