// SPDX-License-Identifier: Apache-2.0
#include "tests/core/attention/compare.h"

#include <algorithm>
#include <cmath>

#include "core/attention/attention.h"
#include "core/attention/reference.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

// Half a unit in the last place of a type, relative.
double UnitRoundoff(DataType type) {
  return type == DataType::kFloat32 ? 0x1p-24 : type == DataType::kFloat16 ? 0x1p-11 : 0x1p-9;
}

}  // namespace

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

void Compute(const RandomProblem& random, int workers) {
  ExecutionContext context(workers);
  const AttentionProblem* problems[] = {&random.problem};
  internal::ComputeAttention(problems, context, MachineUnderTest());
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

void ExpectMatchesReference(RandomProblem& random, const std::string& what) {
  const std::string all = what + " " + random.ToString();
  Compute(random);
  EXPECT_TRUE(random.GapsAreUntouched()) << all;
  const std::vector<float> output = random.Output(), logs = random.LogSumExp();
  std::vector<std::vector<float>> weights;
  const size_t sequences = random.problem.sequences.size();
  for (size_t i = 0; i < sequences; ++i) weights.push_back(random.Weights(i));
  random.ClearResults();
  ReferenceAttention(random.problem);
  const bool bfloat16 = random.problem.input_type == DataType::kBFloat16;
  const NaiveResult naive = NaiveAttention(random.problem, bfloat16);

  const std::vector<float> truth = random.Output(), truth_logs = random.LogSumExp();
  const double rounding = MaxMagnitude(truth) * 4 * UnitRoundoff(random.problem.output_type);
  ExpectNear(truth, output, 2 * MaxError(truth, naive.output) + rounding, "output of " + all);
  // In bfloat16, exponentials have a relative error of 1e-4 before they are summed.
  const double log_rounding =
      (bfloat16 ? 1e-4 : 0.0) + 4 * 0x1p-24 * (1 + MaxMagnitude(truth_logs));
  ExpectNear(truth_logs, logs, 2 * MaxError(truth_logs, naive.log_sum_exp) + log_rounding,
             "log-sum-exp of " + all);
  for (size_t i = 0; i < sequences; ++i) {
    const std::vector<float>& truth_weights = random.Weights(i);
    // A score errs by |s| * roundoffs of its sum of D products; a probability is the exponential
    // of such a score.
    const bool probabilities = random.params.weights_stage == WeightsStage::kProbabilities;
    const double bound = !probabilities ? 4e-6 * (1 + MaxMagnitude(truth_weights))
                         : bfloat16     ? 2e-4
                                        : 2e-5;
    ExpectNear(truth_weights, weights[i], bound, "weights of " + all);
  }
}

void AddOptions(Draw& draw, RandomProblem& random) {
  AttentionParams& params = random.params;
  params.causal = draw.Coin();
  if (draw.Coin(0.25)) params.window_left = draw.Of<int64_t>({0, 1, 5, 16, 40, kFarPosition});
  if (draw.Coin(0.25)) params.window_right = draw.Of<int64_t>({0, 1, 5, 16, 40, kFarPosition});
  if (draw.Coin(0.25)) params.softcap = draw.Of<float>({0.1f, 1.0f, 30.0f, 1e30f});
  if (draw.Coin(0.25)) random.AddSinks();
  if (draw.Coin(0.2)) params.scale = draw.Of<float>({0.0f, 1.0f, -0.3f, 1e-30f});
  if (draw.Coin(0.3)) {
    for (int64_t h = 0; h < random.problem.num_heads; ++h) {
      params.head_gates.push_back(draw.Of<float>({0.0f, 1.0f, -2.0f, 0.5f}));
    }
  }
  for (size_t i = 0; i < random.sequences.size(); ++i) {
    SequenceProblem& s = random.sequences[i];
    s.query_offset = draw.Coin() ? s.key_length - s.query_length
                                 : draw.In(-s.query_length - 2, s.key_length + 2);
    if (draw.Coin(0.3)) {
      random.AddMask(i, draw.Coin(), draw.Coin(), draw.Coin(0.9),
                     draw.Of<double>({0.05, 0.5, 0.95}));
    }
    if (draw.Coin(0.3)) {
      do {
        random.AddBias(
            i, draw.Of<DataType>({DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16}),
            draw.Coin(), draw.Coin(), draw.Coin(0.9), draw.Of<double>({0.0, 0.3, 0.9}));
      } while (s.relative_bias.data == nullptr && draw.Coin(0.3));
    }
    if (draw.Coin(0.25)) random.AddAlibi(i);
  }
  if (draw.Coin(0.3)) random.AskForLogSumExp(draw.Coin());
  if (!draw.Coin(0.4)) return;
  if (draw.Coin()) return random.AskForWeights(WeightsOutput::kMean);
  random.AskForWeights(WeightsOutput::kPerHead,
                       draw.Of<WeightsStage>({WeightsStage::kProbabilities, WeightsStage::kScaled,
                                              WeightsStage::kSoftcapped, WeightsStage::kBiased}));
}

}  // namespace attend
