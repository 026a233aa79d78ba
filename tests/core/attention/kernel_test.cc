// The kernels against the reference in double, over shapes, options and types.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "core/attention/attention.h"
#include "core/attention/reference.h"
#include "core/base/cpu.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

void Compute(const RandomProblem& random, int workers = 2) {
  WorkerPool pool(workers);
  const AttentionProblem* problems[] = {&random.problem};
  ComputeAttention(problems, pool);
}

double MaxError(const std::vector<float>& truth, const std::vector<float>& got) {
  double worst = 0.0;
  for (size_t i = 0; i < truth.size(); ++i) {
    if (truth[i] == got[i]) continue;  // equal infinities too
    worst = std::max(worst, std::fabs(static_cast<double>(truth[i]) - got[i]));
  }
  return worst;
}

double MaxMagnitude(const std::vector<float>& values) {
  double max = 0.0;
  for (const float value : values) {
    if (std::isfinite(value)) max = std::max(max, std::fabs(static_cast<double>(value)));
  }
  return max;
}

// Half a unit in the last place of a type, relative.
double UnitRoundoff(DataType type) {
  return type == DataType::kFloat32 ? 0x1p-24 : type == DataType::kFloat16 ? 0x1p-11 : 0x1p-9;
}

void ExpectNear(const std::vector<float>& truth, const std::vector<float>& got, double bound,
                const std::string& what) {
  ASSERT_EQ(truth.size(), got.size());
  for (size_t i = 0; i < truth.size(); ++i) {
    const bool same_nan = std::isnan(truth[i]) == std::isnan(got[i]);
    const bool near = std::isnan(truth[i]) || truth[i] == got[i] ||
                      std::fabs(static_cast<double>(truth[i]) - got[i]) <= bound;
    ASSERT_TRUE(same_nan && near) << "at " << i << " of " << truth.size() << ": " << got[i]
                                  << ", the reference says " << truth[i] << ", bound " << bound
                                  << "; " << what;
  }
}

// Output within twice the error of a plain float32 (or bfloat16) computation,
// plus the rounding of the result; weights within what their few roundings give.
void ExpectMatchesReference(RandomProblem& random, const std::string& what) {
  Compute(random);
  const std::vector<float> got = random.Output(), got_log = random.LogSumExp();
  std::vector<std::vector<float>> weights;
  const size_t sequences = random.problem.sequences.size();
  for (size_t i = 0; i < sequences; ++i) weights.push_back(random.Weights(i));
  random.ClearResults();
  ReferenceAttention(random.problem);
  const std::vector<float> truth = random.Output();
  const bool bfloat16 = random.problem.input_type == DataType::kBFloat16;
  const NaiveResult naive_result = NaiveAttention(random.problem, bfloat16);
  const double naive = MaxError(truth, naive_result.output);
  const double rounding = MaxMagnitude(truth) * 4 * UnitRoundoff(random.problem.output_type);
  ExpectNear(truth, got, 2 * naive + rounding, what + " output " + random.ToString());
  const std::vector<float> truth_log = random.LogSumExp();
  ExpectNear(
      truth_log, got_log,
      2 * MaxError(truth_log, naive_result.log_sum_exp) + 4e-7 * (1 + MaxMagnitude(truth_log)),
      what + " log-sum-exp " + random.ToString());
  // exp of a score that errs by |s| * roundoffs of its sum of D products.
  const double weight_bound = bfloat16 ? 2e-4 : 2e-5;
  for (size_t i = 0; i < sequences; ++i) {
    ExpectNear(random.Weights(i), weights[i], weight_bound, what + " weights");
  }
}

class Draw {
 public:
  explicit Draw(uint32_t seed) : random_(seed) {}
  template <typename T>
  T Of(const std::vector<T>& choices) {
    return choices[std::uniform_int_distribution<size_t>(0, choices.size() - 1)(random_)];
  }
  bool Coin(double probability = 0.5) { return std::bernoulli_distribution(probability)(random_); }
  int64_t In(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

 private:
  std::mt19937 random_;
};

void AddOptions(Draw& draw, RandomProblem& random) {
  AttentionProblem& problem = random.problem;
  problem.causal = draw.Coin();
  if (draw.Coin(0.2)) problem.scale = draw.Of<float>({0.0f, 1.0f, -0.3f, 1e-30f});
  if (draw.Coin(0.3)) {
    for (int64_t h = 0; h < problem.num_heads; ++h) {
      problem.head_gates.push_back(draw.Of<float>({0.0f, 1.0f, -2.0f, 0.5f}));
    }
  }
  for (size_t i = 0; i < problem.sequences.size(); ++i) {
    SequenceProblem& s = problem.sequences[i];
    s.query_offset = draw.Coin() ? s.key_length - s.query_length
                                 : draw.In(-s.query_length - 2, s.key_length + 2);
    if (draw.Coin(0.3)) {
      random.AddMask(i, draw.Coin(), draw.Coin(), draw.Coin(0.9),
                     draw.Of<double>({0.05, 0.5, 0.95}));
    }
    if (draw.Coin(0.3)) {
      random.AddBias(
          i, draw.Of<DataType>({DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16}),
          draw.Coin(), draw.Coin(), draw.Coin(0.9), draw.Of<double>({0.0, 0.3, 0.9}));
    }
  }
  if (draw.Coin(0.4)) {
    random.AskForWeights(draw.Coin() ? WeightsOutput::kPerHead : WeightsOutput::kMean);
  }
}

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
      random.problem.causal = causal;
      random.problem.sequences[0].query_offset = 1031 - 70;
      ExpectMatchesReference(random, "many keys");
    }
  }
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
    random.problem.scale = scale;
    ExpectMatchesReference(random, "moving maximum");
  }
}

class TypedKernels : public ::testing::TestWithParam<DataType> {};

// The trap: 0 * NaN is NaN, so a probability of 0 does not hide a value.
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
      (*random)->problem.causal = true;
      (*random)->problem.sequences[0].query_offset = 60;
      (*random)->problem.sequences[1].query_offset = 35;
      (*random)->AskForWeights(WeightsOutput::kPerHead);
    }
    // Nobody reads these: beyond the last row's position, masked, or bias -inf.
    auto* mask = const_cast<std::byte*>(poisoned->problem.sequences[0].mask.data);
    auto* clean_mask = const_cast<std::byte*>(clean->problem.sequences[0].mask.data);
    for (int64_t row = 0; row < 4 * 70; ++row) {
      mask[row * 150 + 11] = clean_mask[row * 150 + 11] = std::byte{0};
    }
    for (const int64_t key : {int64_t{11}, int64_t{130}, int64_t{149}}) {
      poisoned->SetKey(0, key, poison);
      poisoned->SetValue(0, key, poison);
    }
    const auto& bias = clean->problem.sequences[1].bias;
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
    random.problem.causal = causal;
    random.SetValue(0, 20, kNaN);
    random.SetValue(0, 70, kInfinity);
    ExpectMatchesReference(random, "values");
    RandomProblem keys(shape, 5);
    keys.problem.causal = causal;
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
      random->problem.causal = true;
      random->problem.head_gates = {1, 0, 1, 1, 0.5f, 2};
    }
    Compute(one, 1);
    WorkerPool pool(4);
    const AttentionProblem* problems[] = {&other.problem, &many.problem};
    ComputeAttention(problems, pool);
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
  random.problem.causal = true;
  random.problem.sequences[0].query_offset = kFarPosition;
  random.problem.sequences[1].query_offset = -kFarPosition;
  Compute(random);
  Compute(all);
  const std::vector<float> output = random.Output(), full = all.Output();
  EXPECT_TRUE(std::equal(output.begin(), output.begin() + 12, full.begin()));
  EXPECT_EQ(std::vector<float>(output.begin() + 12, output.end()), std::vector<float>(12, 0.0f));
}

TEST(AttentionFlops, CountsWhatCausalAllowsAndGatesLeave) {
  ProblemShape shape;
  shape.num_heads = 3;
  shape.head_dim = 4;
  shape.value_head_dim = 6;
  shape.lengths = {{5, 7}};
  RandomProblem random(shape, 5);
  EXPECT_EQ(AttentionFlops(random.problem), 2.0 * 3 * 35 * 10);
  random.problem.head_gates = {1, 0, 1};
  EXPECT_EQ(AttentionFlops(random.problem), 2.0 * 2 * 35 * 10);
  random.problem.causal = true;
  random.problem.sequences[0].query_offset = -2;  // rows read 0, 0, 1, 2, 3 keys
  EXPECT_EQ(AttentionFlops(random.problem), 2.0 * 2 * 6 * 10);
  random.problem.sequences[0].query_offset = 4;  // 5, 6, 7, 7, 7
  EXPECT_EQ(AttentionFlops(random.problem), 2.0 * 2 * 32 * 10);
  random.problem.sequences[0].query_offset = -9;
  EXPECT_EQ(AttentionFlops(random.problem), 0.0);
  random.problem.sequences[0].query_offset = kFarPosition;
  EXPECT_EQ(AttentionFlops(random.problem), 2.0 * 2 * 35 * 10);
}

TEST(AttentionFlops, CountsWhatWindowsAllow) {
  const std::vector<std::optional<int64_t>> windows = {std::nullopt, 0, 1, 3, 20, kFarPosition};
  for (const int64_t offset : {-kFarPosition, int64_t{-4}, int64_t{0}, int64_t{2}, int64_t{9}}) {
    for (const auto& left : windows) {
      for (const auto& right : windows) {
        for (const bool causal : {false, true}) {
          RandomProblem random({.lengths = {{5, 7}}}, 5);
          random.problem.causal = causal;
          random.problem.window_left = left;
          random.problem.window_right = right;
          random.problem.sequences[0].query_offset = offset;
          double pairs = 0.0;
          for (int64_t i = 0; i < 5; ++i) {
            for (int64_t j = 0; j < 7; ++j) {
              pairs += (!causal || j <= offset + i) && (!left || j >= offset + i - *left) &&
                       (!right || j <= offset + i + *right);
            }
          }
          ASSERT_EQ(AttentionFlops(random.problem), 4.0 * pairs) << random.ToString();
        }
      }
    }
  }
}

}  // namespace
}  // namespace attend
