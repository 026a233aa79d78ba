// SPDX-License-Identifier: Apache-2.0

// The results of resolving. Refusals are tested through the engine, whose answers carry the same
// messages.

#include "core/attention/resolve_options.h"

#include <functional>
#include <limits>

#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::ElementsAre;

constexpr ShapeLimits kLimits{1000, 1000, 1000, 1 << 20, 1000, 1 << 20};

BatchShape Dense(int64_t batch, int64_t rows, int64_t keys,
                 const std::vector<int64_t>& query_lengths = {},
                 const std::vector<int64_t>& key_lengths = {}) {
  return *ResolveLengths({false, batch, rows}, {false, batch, keys}, false, query_lengths,
                         key_lengths, kLimits);
}

std::vector<int64_t> Offsets(const AttentionOptions& options, BatchShape shape) {
  EXPECT_TRUE(ResolveOptions(options, 1, {}, kLimits, shape).ok());
  std::vector<int64_t> offsets;
  for (const PlacedSequence& s : shape.sequences) offsets.push_back(s.query_offset);
  return offsets;
}

TEST(ResolveLengths, OfDenseCountsPaddingInBeginsButNotInRows) {
  const BatchShape shape = Dense(2, 3, 5, {2, 0}, {});
  EXPECT_EQ(shape.max_query_length, 3);
  EXPECT_EQ(shape.max_key_length, 5);
  EXPECT_EQ(shape.query_rows, 2);
  EXPECT_EQ(shape.key_rows, 10);
  ASSERT_EQ(shape.sequences.size(), 2u);
  EXPECT_EQ(shape.sequences[0].query_length, 2);
  EXPECT_EQ(shape.sequences[0].key_length, 5);
  EXPECT_EQ(shape.sequences[1].query_length, 0);
  EXPECT_EQ(shape.sequences[1].query_begin, 3);
  EXPECT_EQ(shape.sequences[1].key_begin, 5);
}

TEST(ResolveLengths, OfPackedFollowsTheLengths) {
  const BatchShape shape =
      *ResolveLengths({true, 0, 6}, {true, 0, 9}, false, {4, 0, 2}, {1, 5, 3}, kLimits);
  EXPECT_EQ(shape.max_query_length, 4);
  EXPECT_EQ(shape.max_key_length, 5);
  EXPECT_EQ(shape.query_rows, 6);
  EXPECT_EQ(shape.key_rows, 9);
  ASSERT_EQ(shape.sequences.size(), 3u);
  EXPECT_EQ(shape.sequences[2].query_begin, 4);
  EXPECT_EQ(shape.sequences[2].key_begin, 6);
}

TEST(ResolveLengths, OfPackedWithoutLengthsIsOneSequence) {
  const BatchShape shape = *ResolveLengths({true, 0, 6}, {true, 0, 9}, false, {}, {}, kLimits);
  ASSERT_EQ(shape.sequences.size(), 1u);
  EXPECT_EQ(shape.sequences[0].query_length, 6);
  EXPECT_EQ(shape.sequences[0].key_length, 9);
}

TEST(ResolveLengths, OfSelfAttentionServeBoth) {
  const BatchShape shape = *ResolveLengths({true, 0, 6}, {true, 0, 6}, true, {4, 2}, {}, kLimits);
  EXPECT_EQ(shape.max_key_length, 4);
  EXPECT_EQ(shape.sequences[1].key_length, 2);
  EXPECT_EQ(shape.sequences[1].key_begin, 4);
}

TEST(ResolveOptions, TakesTheGivenScaleElseTheDefault) {
  BatchShape shape = Dense(1, 1, 1);
  AttentionOptions options;
  OptionDefaults defaults;
  defaults.scale = 0.25f;
  EXPECT_EQ(ResolveOptions(options, 1, defaults, kLimits, shape)->params.scale, 0.25f);
  options.scale = -3.0f;
  EXPECT_EQ(ResolveOptions(options, 1, defaults, kLimits, shape)->params.scale, -3.0f);
}

TEST(ResolveOptions, AlignsRowZero) {
  AttentionOptions options;
  options.causal = true;
  options.alignment = Alignment::kStart;
  EXPECT_THAT(Offsets(options, Dense(2, 3, 5, {3, 2}, {5, 1})), ElementsAre(0, 0));
  options.alignment = Alignment::kEnd;
  EXPECT_THAT(Offsets(options, Dense(2, 3, 5, {3, 2}, {5, 1})), ElementsAre(2, -1));
}

TEST(ResolveOptions, TakesOffsetsWhereTheLengthsAreEqualToo) {
  AttentionOptions options;
  options.causal = true;
  options.query_offsets = {7, -7};
  EXPECT_THAT(Offsets(options, Dense(2, 3, 3)), ElementsAre(7, -7));
}

TEST(ResolveOptions, IgnoresOffsetsWhereNothingDependsOnPosition) {
  AttentionOptions options;
  options.query_offsets = {7, -7};
  EXPECT_THAT(Offsets(options, Dense(2, 3, 3)), ElementsAre(0, 0));
}

TEST(ResolveOptions, TakesGivenWindowsAndSoftcapElseTheDefaults) {
  BatchShape shape = Dense(1, 3, 3);
  AttentionOptions options;
  ResolvedOptions resolved = *ResolveOptions(options, 1, {}, kLimits, shape);
  EXPECT_FALSE(resolved.params.window_left.has_value());
  EXPECT_FALSE(resolved.params.window_right.has_value());
  EXPECT_EQ(resolved.params.softcap, 0.0f);
  OptionDefaults defaults;
  defaults.window_left = 7;
  defaults.window_right = 8;
  defaults.softcap = 30.0f;
  options.window_right = 0;
  resolved = *ResolveOptions(options, 1, defaults, kLimits, shape);
  EXPECT_EQ(resolved.params.window_left, 7);
  EXPECT_EQ(resolved.params.window_right, 0);
  EXPECT_EQ(resolved.params.softcap, 30.0f);
  options.softcap = 2.0f;
  options.window_left = std::numeric_limits<int64_t>::max();
  resolved = *ResolveOptions(options, 1, defaults, kLimits, shape);
  EXPECT_EQ(resolved.params.window_left, kFarPosition);
  EXPECT_EQ(resolved.params.softcap, 2.0f);
}

// Every option that depends on position uses offsets and requires them.
TEST(ResolveOptions, AlignsForEverythingThatDependsOnPosition) {
  const auto slopes = [] {
    Tensor tensor(DataType::kFloat32, {1});
    *tensor.as<float>() = 0.5f;
    return tensor;
  };
  struct Case {
    const char* words;
    std::function<void(AttentionOptions&, OptionDefaults&)> set;
  };
  const std::vector<Case> cases = {
      {"causal attention of 2", [](auto& o, auto&) { o.causal = true; }},
      {"a window of 2", [](auto& o, auto&) { o.window_left = 3; }},
      {"a window of 2", [](auto& o, auto&) { o.window_right = 3; }},
      {"this layer's window of 2", [](auto&, auto& d) { d.window_left = 3; }},
      {"this layer's window of 2", [](auto&, auto& d) { d.window_right = 3; }},
      {"ALiBi of 2", [&](auto& o, auto&) { o.alibi_slopes = slopes(); }},
      {"this layer's position embedding of 2", [](auto&, auto& d) { d.positional = true; }},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.words);
    AttentionOptions options;
    OptionDefaults defaults;
    test.set(options, defaults);
    BatchShape shape = Dense(1, 2, 5);
    const absl::Status refused = ResolveOptions(options, 1, defaults, kLimits, shape).status();
    EXPECT_EQ(GetErrorInfo(refused).field, "options.alignment");
    EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr(test.words));
    options.alignment = Alignment::kEnd;
    EXPECT_TRUE(ResolveOptions(options, 1, defaults, kLimits, shape).ok());
    EXPECT_EQ(shape.sequences[0].query_offset, 3);
  }
}

TEST(ResolveOptions, TakesSlopesByHeadOrBySequence) {
  BatchShape shape = Dense(2, 3, 3);
  AttentionOptions options;
  options.alibi_slopes = Tensor(DataType::kFloat32, {3});
  std::fill_n(options.alibi_slopes->as<float>(), 3, 0.5f);
  ASSERT_TRUE(ResolveOptions(options, 3, {}, kLimits, shape).ok());
  for (const PlacedSequence& sequence : shape.sequences) {
    EXPECT_EQ(sequence.alibi_slopes, options.alibi_slopes->as<float>());
  }
  options.alibi_slopes = Tensor(DataType::kFloat32, {2, 3});
  std::fill_n(options.alibi_slopes->as<float>(), 6, 0.5f);
  ASSERT_TRUE(ResolveOptions(options, 3, {}, kLimits, shape).ok());
  EXPECT_EQ(shape.sequences[1].alibi_slopes, options.alibi_slopes->as<float>() + 3);
}

TEST(ResolveOptions, SizesTheLogSumExp) {
  AttentionOptions options;
  BatchShape dense = Dense(2, 4, 5, {3, 1}, {2, 2});
  EXPECT_TRUE(ResolveOptions(options, 3, {}, kLimits, dense)->log_sum_exp_shape.empty());
  options.log_sum_exp = true;
  ResolvedOptions resolved = *ResolveOptions(options, 3, {}, kLimits, dense);
  EXPECT_THAT(resolved.log_sum_exp_shape, ElementsAre(2, 3, 4));
  EXPECT_EQ(resolved.log_sum_exp_bytes, 96u);
  BatchShape packed = *ResolveLengths({true, 0, 6}, {true, 0, 9}, false, {4, 2}, {1, 8}, kLimits);
  EXPECT_THAT(ResolveOptions(options, 3, {}, kLimits, packed)->log_sum_exp_shape,
              ElementsAre(6, 3));
}

TEST(ResolveOptions, BringsFarOffsetsIntoReach) {
  AttentionOptions options;
  options.causal = true;
  options.query_offsets = {std::numeric_limits<int64_t>::min(),
                           std::numeric_limits<int64_t>::max()};
  EXPECT_THAT(Offsets(options, Dense(2, 3, 3)), ElementsAre(-kFarPosition, kFarPosition));
}

TEST(ResolveOptions, BroadcastsByStridesOfZero) {
  struct Case {
    Shape shape;
    std::vector<int64_t> strides;  // batch, head, row, key
  };
  // [B, H, Lq, Lk] = [2, 3, 4, 5]
  const std::vector<Case> cases = {
      {{2, 3, 4, 5}, {60, 20, 5, 1}},
      {{1, 3, 4, 5}, {0, 20, 5, 1}},
      {{2, 1, 4, 5}, {20, 0, 5, 1}},
      {{2, 3, 1, 5}, {15, 5, 0, 1}},
      {{2, 3, 4, 1}, {12, 4, 1, 0}},
      {{2, 1, 1, 5}, {5, 0, 0, 1}},
      {{3, 4, 5}, {0, 20, 5, 1}},
      {{4, 5}, {0, 0, 5, 1}},
      {{5}, {0, 0, 0, 1}},
      {{1}, {0, 0, 0, 0}},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(ToString(test.shape));
    BatchShape shape = Dense(2, 4, 5);
    AttentionOptions options;
    options.bias = Tensor(DataType::kBFloat16, test.shape);
    ASSERT_TRUE(ResolveOptions(options, 3, {}, kLimits, shape).ok());
    const ScoreTerm& term = shape.sequences[0].bias;
    const int64_t batch_stride = (shape.sequences[1].bias.data - term.data) / 2;
    EXPECT_EQ(term.type, DataType::kBFloat16);
    EXPECT_THAT(
        (std::vector<int64_t>{batch_stride, term.head_stride, term.row_stride, term.key_stride}),
        testing::ElementsAreArray(test.strides));
    EXPECT_EQ(term.data, options.bias->data());
    EXPECT_EQ(shape.sequences[1].mask.data, nullptr);
  }
}

TEST(ResolveOptions, SizesTheWeights) {
  BatchShape shape = Dense(2, 4, 5, {3, 1}, {2, 2});
  AttentionOptions options;
  options.weights = WeightsOutput::kPerHead;
  ResolvedOptions resolved = *ResolveOptions(options, 3, {}, kLimits, shape);
  EXPECT_THAT(resolved.weights_shape, ElementsAre(2, 3, 4, 5));
  EXPECT_EQ(resolved.weights_bytes, 480u);
  options.weights = WeightsOutput::kMean;
  resolved = *ResolveOptions(options, 3, {}, kLimits, shape);
  EXPECT_THAT(resolved.weights_shape, ElementsAre(2, 4, 5));
}

}  // namespace
}  // namespace attend
