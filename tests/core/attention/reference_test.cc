// SPDX-License-Identifier: Apache-2.0

// The reference against its equation, evaluated term by term in long double, and
// against cases whose answers are known.

#include "core/attention/reference.h"

#include <cmath>
#include <limits>
#include <random>

#include "core/tensor/convert.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::FloatNear;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// All numbers of the equation for one (sequence, row, head), from float32 rows.
struct Terms {
  std::vector<long double> s0, s1, s2;
  std::vector<bool> readable;
  long double z = 0;
};

Terms Evaluate(const AttentionProblem& p, const SequenceProblem& s, int64_t i, int64_t h) {
  const int64_t kv = h / (p.num_heads / p.num_kv_heads);
  const auto* q = reinterpret_cast<const float*>(s.query.data);
  const auto* k = reinterpret_cast<const float*>(s.key.data);
  Terms t;
  if (!p.params->sinks.empty()) t.z += std::exp(static_cast<long double>(p.params->sinks[h]));
  for (int64_t j = 0; j < s.key_length; ++j) {
    long double dot = 0;
    for (int64_t d = 0; d < p.head_dim; ++d) {
      dot += static_cast<long double>(q[i * s.query.row_stride + h * s.query.head_stride + d]) *
             k[j * s.key.row_stride + kv * s.key.head_stride + d];
    }
    t.s0.push_back(p.params->scale * dot);
    const long double cap = p.params->softcap;
    t.s1.push_back(cap == 0 ? t.s0[j] : cap * std::tanh(t.s0[j] / cap));
    long double bias = 0;
    for (const ScoreTerm& term : {s.bias, s.relative_bias}) {
      if (term.data == nullptr) continue;
      bias += LoadFloat(term.type, term.data,
                        h * term.head_stride + i * term.row_stride + j * term.key_stride);
    }
    const float slope = s.alibi_slopes == nullptr ? 0.0f : s.alibi_slopes[h];
    const int64_t position = s.query_offset + i;
    t.s2.push_back(t.s1[j] + bias -
                   static_cast<long double>(slope) *
                       static_cast<long double>(std::abs(position - j)));
    bool readable = bias != -kInfinity;
    if (s.mask.data != nullptr) {
      readable &=
          s.mask.data[h * s.mask.head_stride + i * s.mask.row_stride + j * s.mask.key_stride] !=
          std::byte{0};
    }
    readable &= !p.params->causal || j <= position;
    readable &= !p.params->window_left || position - *p.params->window_left <= j;
    readable &= !p.params->window_right || j <= position + *p.params->window_right;
    t.readable.push_back(readable);
    if (readable) t.z += std::exp(t.s2[j]);
  }
  return t;
}

TEST(Reference, IsTheEquation) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const auto coin = [&] { return random() % 2 == 0; };
    const auto in = [&](int64_t low, int64_t high) {
      return std::uniform_int_distribution<int64_t>(low, high)(random);
    };
    ProblemShape shape;
    shape.num_kv_heads = in(1, 2);
    shape.num_heads = shape.num_kv_heads * in(1, 3);
    shape.head_dim = in(1, 9);
    shape.value_head_dim = in(1, 9);
    shape.lengths = {{in(0, 6), in(0, 9)}, {in(0, 6), in(0, 9)}};
    shape.heads_first = coin();
    RandomProblem problem(shape, seed);
    const AttentionProblem& p = problem.problem;
    problem.params.causal = coin();
    if (coin()) problem.params.window_left = in(0, 5);
    if (coin()) problem.params.window_right = in(0, 5);
    if (coin()) problem.params.softcap = 0.7f;
    if (coin()) problem.AddSinks();
    if (coin()) {
      for (int64_t h = 0; h < p.num_heads; ++h)
        problem.params.head_gates.push_back(static_cast<float>(in(-1, 2)));
    }
    for (size_t n = 0; n < 2; ++n) {
      problem.sequences[n].query_offset = in(-6, 9);
      if (coin()) problem.AddMask(n, coin(), coin(), coin(), 0.7);
      if (coin()) problem.AddBias(n, DataType::kFloat32, coin(), coin(), coin(), 0.3);
      if (coin()) problem.AddBias(n, DataType::kFloat16, coin(), coin(), coin(), 0.1);
      if (coin()) problem.AddAlibi(n);
    }
    problem.AskForWeights(WeightsOutput::kPerHead, static_cast<WeightsStage>(in(0, 3)));
    problem.AskForLogSumExp(coin());
    ReferenceAttention(p);

    const std::vector<float> output = problem.Output(), logs = problem.LogSumExp();
    size_t at = 0, log_at = 0;
    for (size_t n = 0; n < 2; ++n) {
      const SequenceProblem& s = p.sequences[n];
      for (int64_t i = 0; i < s.query_length; ++i) {
        for (int64_t h = 0; h < p.num_heads; ++h) {
          const Terms t = Evaluate(p, s, i, h);
          const float gate = p.params->head_gates.empty() ? 1.0f : p.params->head_gates[h];
          const auto* v = reinterpret_cast<const float*>(s.value.data);
          const int64_t kv = h / (p.num_heads / p.num_kv_heads);
          for (int64_t d = 0; d < p.value_head_dim; ++d) {
            long double sum = 0;
            for (int64_t j = 0; j < s.key_length; ++j) {
              if (!t.readable[j]) continue;
              sum += std::exp(t.s2[j]) / t.z *
                     v[j * s.value.row_stride + kv * s.value.head_stride + d];
            }
            ASSERT_NEAR(output[at++], static_cast<double>(gate == 0 ? 0 : gate * sum), 1e-6)
                << "seed " << seed << " " << problem.ToString();
          }
          const auto log = static_cast<float>(std::log(gate == 0 ? 0 : t.z));
          ASSERT_TRUE(logs[log_at] == log || std::fabs(logs[log_at] - log) < 1e-5)
              << logs[log_at] << " is not " << log << ", seed " << seed;
          ++log_at;
          const float* weights =
              s.weights + h * p.params->weights_head_stride + i * p.params->weights_row_stride;
          for (int64_t j = 0; j < s.key_length; ++j) {
            long double expected = 0;
            if (p.params->weights_stage == WeightsStage::kProbabilities) {
              expected = gate != 0 && t.readable[j] ? std::exp(t.s2[j]) / t.z : 0;
            } else if (gate == 0) {
              expected = -kInfinity;
            } else if (p.params->weights_stage == WeightsStage::kScaled) {
              expected = t.s0[j];
            } else if (p.params->weights_stage == WeightsStage::kSoftcapped) {
              expected = t.s1[j];
            } else {
              expected = t.readable[j] ? t.s2[j] : -kInfinity;
            }
            const auto close = static_cast<float>(expected);
            ASSERT_TRUE(weights[j] == close || std::fabs(weights[j] - close) < 1e-5)
                << weights[j] << " is not " << close << ", seed " << seed;
          }
        }
      }
    }
  }
}

// One head of one feature: query 1, keys and values as given.
struct Small {
  explicit Small(std::vector<float> keys) : key(std::move(keys)), weights(key.size()) {
    for (size_t j = 0; j < key.size(); ++j) value.push_back(static_cast<float>(j + 1));
    problem.num_heads = problem.num_kv_heads = 1;
    problem.head_dim = problem.value_head_dim = 1;
    params.weights = WeightsOutput::kPerHead;
    problem.params = &params;
    problem.sequences = absl::MakeConstSpan(&sequence, 1);
    SequenceProblem& s = sequence;
    s.query_length = 1;
    s.key_length = static_cast<int64_t>(key.size());
    s.query = {reinterpret_cast<const std::byte*>(&query), 1, 1};
    s.key = {reinterpret_cast<const std::byte*>(key.data()), 1, 1};
    s.value = {reinterpret_cast<const std::byte*>(value.data()), 1, 1};
    s.output = {reinterpret_cast<std::byte*>(&output), 1, 1};
    s.weights = weights.data();
    s.log_sum_exp = &log_sum_exp;
  }
  Small(const Small&) = delete;
  void Run() { ReferenceAttention(problem); }

  float query = 1.0f, output = -7.0f, log_sum_exp = -7.0f;
  std::vector<float> key, value, weights;
  AttentionParams params;
  SequenceProblem sequence;
  AttentionProblem problem;
};

TEST(Reference, ASinkTakesItsShareAndGivesNoValue) {
  Small small({std::log(2.0f), std::log(3.0f)});
  small.params.sinks.assign(1, std::log(5.0f));
  small.Run();
  EXPECT_THAT(small.weights, ElementsAre(FloatEq(0.2f), FloatEq(0.3f)));
  EXPECT_FLOAT_EQ(small.output, 0.2f * 1 + 0.3f * 2);
  EXPECT_FLOAT_EQ(small.log_sum_exp, std::log(10.0f));
}

TEST(Reference, WithoutAReadableKeyTheLogSumExpIsTheSink) {
  Small small({1, 2, 3});
  small.params.window_left = small.params.window_right = 1;
  small.sequence.query_offset = 7;
  small.Run();
  EXPECT_EQ(small.output, 0.0f);
  EXPECT_THAT(small.weights, ElementsAre(0, 0, 0));
  EXPECT_EQ(small.log_sum_exp, -kInfinity);
  small.params.sinks.assign(1, -3.5f);
  small.Run();
  EXPECT_EQ(small.output, 0.0f);
  EXPECT_THAT(small.weights, ElementsAre(0, 0, 0));
  EXPECT_EQ(small.log_sum_exp, -3.5f);
}

TEST(Reference, TakesSinksFarAboveAndBelowTheScores) {
  Small small({1, 2});
  small.params.sinks.assign(1, 2000.0f);
  small.Run();
  EXPECT_EQ(small.output, 0.0f);
  EXPECT_EQ(small.log_sum_exp, 2000.0f);
  small.params.sinks.assign(1, -2000.0f);
  small.Run();
  EXPECT_FLOAT_EQ(small.log_sum_exp, 2 + std::log1p(std::exp(-1.0f)));
}

TEST(Reference, WindowsHoldPositionsLeftAndRight) {
  Small small({0, 0, 0, 0, 0, 0, 0});
  small.sequence.query_offset = 3;
  small.params.window_left = 2;
  small.params.window_right = 1;
  small.Run();
  EXPECT_THAT(small.weights, ElementsAre(0, 0.25f, 0.25f, 0.25f, 0.25f, 0, 0));
  small.params.causal = true;
  small.Run();
  EXPECT_THAT(small.weights,
              ElementsAre(0, FloatEq(1 / 3.0f), FloatEq(1 / 3.0f), FloatEq(1 / 3.0f), 0, 0, 0));
  small.params.window_left = kFarPosition;
  small.Run();
  EXPECT_THAT(small.weights, ElementsAre(0.25f, 0.25f, 0.25f, 0.25f, 0, 0, 0));
}

TEST(Reference, AlibiTakesTheDistanceOnBothSides) {
  const float slope = 0.5f;
  Small small({1, 1, 1, 1});
  small.sequence.query_offset = 1;
  small.sequence.alibi_slopes = &slope;
  small.params.weights_stage = WeightsStage::kBiased;
  small.Run();
  EXPECT_THAT(small.weights, ElementsAre(0.5f, 1.0f, 0.5f, 0.0f));
}

TEST(Reference, SoftcapBoundsTheScoreBeforeTheBias) {
  const std::vector<float> bias = {10, 0, 0};
  Small small({1000, -1000, 1});
  small.params.softcap = 2.0f;
  small.sequence.bias = {reinterpret_cast<const std::byte*>(bias.data()), DataType::kFloat32, 0, 0,
                         1};
  small.params.weights_stage = WeightsStage::kSoftcapped;
  small.Run();
  EXPECT_THAT(small.weights, ElementsAre(2, -2, FloatNear(0.924234f, 1e-6f)));
  small.params.weights_stage = WeightsStage::kBiased;
  small.Run();
  EXPECT_THAT(small.weights, ElementsAre(12, -2, FloatNear(0.924234f, 1e-6f)));
  small.params.weights_stage = WeightsStage::kScaled;
  small.Run();
  EXPECT_THAT(small.weights, ElementsAre(1000, -1000, 1));
}

}  // namespace
}  // namespace attend
