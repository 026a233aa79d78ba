// SPDX-License-Identifier: Apache-2.0

// The kernels against the reference in double, over shapes, options and types.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>

#include "core/attention/attention.h"
#include "core/attention/reference.h"
#include "core/tensor/convert.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/attention/compare.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class TypedKernels : public ::testing::TestWithParam<DataType> {};

TEST(Kernels, MatchTheReferenceOverShapesOptionsAndTypes) {
  const std::vector<int64_t> lengths = {0, 1, 2, 3, 7, 13, 15, 16, 17, 31, 37, 63, 64, 65, 97, 130};
  const std::vector<int64_t> widths = {1, 2, 3, 5, 8, 16, 24, 37, 64, 80};
  const std::vector<DataType> types = {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16};
  for (uint32_t seed = 0; seed < 600 && !::testing::Test::HasFatalFailure(); ++seed) {
    Draw draw(seed);
    ProblemShape shape;
    shape.num_kv_heads = draw.Of<int64_t>({1, 2, 3});
    shape.num_heads = shape.num_kv_heads * draw.Of<int64_t>({1, 1, 2, 5});
    shape.head_dim = draw.Of(widths);
    shape.value_head_dim = draw.Coin() ? shape.head_dim : draw.Of(widths);
    for (int64_t n = draw.In(1, 2); n > 0; --n) {
      const int64_t queries = draw.Of(lengths);
      shape.lengths.push_back({queries, draw.Coin() ? queries : draw.Of(lengths)});
    }
    shape.type = draw.Of(types);
    shape.output_type = draw.Of(types);
    shape.heads_first = draw.Coin();
    if (draw.Coin()) shape.shift = draw.In(1, 15);
    if (draw.Coin(0.3)) shape.gap = draw.In(1, 9);
    RandomProblem random(shape, seed);
    AddOptions(draw, random);
    ExpectMatchesReference(random, "seed " + std::to_string(seed));
  }
}

TEST(Kernels, MatchTheReferenceOverManyKeys) {
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    for (const bool causal : {false, true}) {
      ProblemShape shape;
      shape.num_heads = 2;
      shape.num_kv_heads = 1;
      shape.head_dim = shape.value_head_dim = 128;
      shape.lengths = {{70, 1031}, {300, 300}};
      shape.type = type;
      RandomProblem random(shape, 1);
      random.params.causal = causal;
      random.sequences[0].query_offset = 1031 - 70;
      ExpectMatchesReference(random, "many keys");
    }
  }
}

// Statistic: the root mean square of the errors of all outputs, and their largest, over
// some problems of usual shapes, against the reference in double (rounded to float32);
// nothing is allowed on top, unlike in ExpectMatchesReference, whose single problems may
// be so small that plain loops are exact by luck.
TEST_P(TypedKernels, ErrAtMostTwiceAsMuchAsPlainLoopsInTheirType) {
  double squares = 0, naive_squares = 0, largest = 0, naive_largest = 0;
  for (uint32_t seed = 0; seed < 24; ++seed) {
    Draw draw(seed);
    ProblemShape shape;
    shape.num_kv_heads = 2;
    shape.num_heads = draw.Of<int64_t>({2, 4});
    shape.head_dim = shape.value_head_dim = draw.Of<int64_t>({32, 64, 80, 128});
    const int64_t rows = draw.Coin() ? draw.In(1, 4) : draw.In(17, 90);
    shape.lengths = {{rows, draw.In(rows, 300)}};
    shape.type = shape.output_type = GetParam();
    RandomProblem random(shape, seed);
    shape.output_type = DataType::kFloat32;
    RandomProblem reference(shape, seed);  // the same, its output not rounded
    for (RandomProblem* one : {&random, &reference}) {
      one->params.causal = seed % 2 == 0;
      one->sequences[0].query_offset = shape.lengths[0].second - rows;
      if (seed % 4 == 3) one->AddBias(0, DataType::kFloat32, true, true, true, 0.1);
      if (seed % 5 == 0) one->params.softcap = 3.0f;
    }
    Compute(random);
    ReferenceAttention(reference.problem);
    const std::vector<float> truth = reference.Output(), got = random.Output();
    const bool bfloat16 = GetParam() == DataType::kBFloat16;
    std::vector<float> naive = NaiveAttention(random.problem, bfloat16).output;
    std::vector<std::byte> stored(naive.size() * ElementSize(GetParam()));
    const auto count = static_cast<int64_t>(naive.size());
    ConvertFromFloat(naive.data(), GetParam(), stored.data(), count);
    ConvertToFloat(GetParam(), stored.data(), naive.data(), count);
    for (size_t i = 0; i < truth.size(); ++i) {
      squares += std::pow(got[i] - static_cast<double>(truth[i]), 2);
      naive_squares += std::pow(naive[i] - static_cast<double>(truth[i]), 2);
    }
    largest = std::max(largest, MaxError(truth, got));
    naive_largest = std::max(naive_largest, MaxError(truth, naive));
  }
  EXPECT_LE(std::sqrt(squares), 2 * std::sqrt(naive_squares));
  EXPECT_LE(largest, 2 * naive_largest);
  RecordProperty("error_to_naive", std::to_string(std::sqrt(squares / naive_squares)));
  std::printf("%s: %.2f of the naive error, largest %.2f\n", std::string(Name(GetParam())).c_str(),
              std::sqrt(squares / naive_squares), largest / naive_largest);
}

// Scores that grow with the key move the maximum in every block.
TEST(Kernels, MatchTheReferenceWhereTheMaximumKeepsMoving) {
  for (const float scale : {30.0f, -30.0f}) {
    ProblemShape shape;
    shape.head_dim = shape.value_head_dim = 16;
    shape.lengths = {{33, 400}};
    RandomProblem random(shape, 3);
    for (int64_t key = 0; key < 400; ++key) {
      random.SetKey(0, key, static_cast<float>(key) * 0.01f);
    }
    random.params.scale = scale;
    ExpectMatchesReference(random, "moving maximum");
  }
}

// 0 * NaN is NaN, so a probability of 0 does not hide a value.
TEST_P(TypedKernels, WhatIsNotReadableChangesNoBit) {
  for (const float poison : {kNaN, kInfinity, -kInfinity, 3e4f}) {
    ProblemShape shape;
    shape.num_heads = 4;
    shape.num_kv_heads = 2;
    shape.head_dim = 16;
    shape.value_head_dim = 17;
    shape.lengths = {{70, 150}, {5, 40}};
    shape.type = GetParam();
    std::unique_ptr<RandomProblem> clean, poisoned;
    for (auto* random : {&clean, &poisoned}) {
      *random = std::make_unique<RandomProblem>(shape, 5);
      (*random)->AddMask(0, true, true, true, 0.7);
      (*random)->AddBias(1, DataType::kFloat16, false, false, true, 0.3);
      (*random)->params.causal = true;
      (*random)->sequences[0].query_offset = 60;
      (*random)->sequences[1].query_offset = 35;
      (*random)->AskForWeights(WeightsOutput::kPerHead);
    }
    // No row reads these: they are beyond the last row's position, masked, or have bias -inf.
    auto* mask = const_cast<std::byte*>(poisoned->sequences[0].mask.data);
    auto* clean_mask = const_cast<std::byte*>(clean->sequences[0].mask.data);
    for (int64_t row = 0; row < 4 * 70; ++row) {
      mask[row * 150 + 11] = clean_mask[row * 150 + 11] = std::byte{0};
    }
    for (const int64_t key : {int64_t{11}, int64_t{130}, int64_t{149}}) {
      poisoned->SetKey(0, key, poison);
      poisoned->SetValue(0, key, poison);
    }
    const auto& bias = clean->sequences[1].bias;
    for (int64_t key = 0; key < 40; ++key) {
      if (reinterpret_cast<const uint16_t*>(bias.data)[key] != 0xfc00) continue;
      poisoned->SetKey(1, key, poison);
      poisoned->SetValue(1, key, poison);
    }
    Compute(*clean);
    Compute(*poisoned);
    EXPECT_EQ(clean->Output(), poisoned->Output()) << "poison " << poison;
    EXPECT_EQ(clean->Weights(0), poisoned->Weights(0));
    EXPECT_EQ(clean->Weights(1), poisoned->Weights(1));
  }
}

TEST_P(TypedKernels, WhatIsReadPropagates) {
  ProblemShape shape;
  shape.num_heads = 2;
  shape.head_dim = 8;
  shape.value_head_dim = 9;
  shape.lengths = {{80, 80}};
  shape.type = GetParam();
  for (const bool causal : {false, true}) {
    RandomProblem random(shape, 5);
    random.params.causal = causal;
    random.SetValue(0, 20, kNaN);
    random.SetValue(0, 70, kInfinity);
    ExpectMatchesReference(random, "values");
    RandomProblem keys(shape, 5);
    keys.params.causal = causal;
    keys.SetKey(0, 33, kNaN);
    ExpectMatchesReference(keys, "keys");
  }
}

TEST_P(TypedKernels, DoNotDependOnWorkersNorCompany) {
  ProblemShape shape;
  shape.num_heads = 6;
  shape.num_kv_heads = 2;
  shape.head_dim = shape.value_head_dim = 32;
  shape.lengths = {{70, 150}, {1, 33}, {64, 64}, {20, 3}};
  shape.type = GetParam();
  for (const WeightsOutput weights : {WeightsOutput::kNone, WeightsOutput::kMean}) {
    RandomProblem one(shape, 5), many(shape, 5), other(shape, 6);
    for (RandomProblem* random : {&one, &many}) {
      random->AskForWeights(weights);
      random->params.causal = true;
      random->params.head_gates = {1, 0, 1, 1, 0.5f, 2};
    }
    Compute(one, 1);
    ExecutionContext context(4);
    const AttentionProblem* problems[] = {&other.problem, &many.problem};
    internal::ComputeAttention(problems, context, MachineUnderTest());
    EXPECT_EQ(one.Output(), many.Output());
    for (size_t i = 0; i < shape.lengths.size(); ++i) EXPECT_EQ(one.Weights(i), many.Weights(i));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, TypedKernels,
                         ::testing::Values(DataType::kFloat32, DataType::kFloat16,
                                           DataType::kBFloat16),
                         [](const auto& param) { return std::string(Name(param.param)); });

TEST(Kernels, TakeOffsetsAtTheEndsOfTheirRange) {
  ProblemShape shape;
  shape.head_dim = shape.value_head_dim = 4;
  shape.lengths = {{3, 5}, {3, 5}};
  RandomProblem random(shape, 5), all(shape, 5);
  random.params.causal = true;
  random.sequences[0].query_offset = kFarPosition;
  random.sequences[1].query_offset = -kFarPosition;
  Compute(random);
  Compute(all);
  const std::vector<float> output = random.Output(), full = all.Output();
  EXPECT_TRUE(std::equal(output.begin(), output.begin() + 12, full.begin()));
  EXPECT_EQ(std::vector<float>(output.begin() + 12, output.end()), std::vector<float>(12, 0.0f));
}

}  // namespace
}  // namespace attend
