// SPDX-License-Identifier: Apache-2.0
#include "core/attention/rates.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using internal::FitKernelRates;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

// Rates of a round machine: a score takes as long as 16 multiply-adds.
AttentionRates Rates() {
  AttentionRates rates;
  rates.prefill[0] = rates.prefill[2] = {2e-11, 3.2e-10};
  rates.prefill[1] = {1e-11, 3.2e-10};
  rates.decode[0] = {2e-11, 4e-9};
  rates.decode[1] = {1e-11, 4e-9};
  rates.memory_byte = 4e-11;
  rates.shared_memory_byte = 3e-11;
  rates.recent_byte = 2e-11;
  rates.recent_bytes = 1e6;
  rates.convert_row = 1e-8;
  rates.convert_feature = 1e-10;
  rates.convert_memory_byte = 2e-10;
  rates.feature = 1e-10;
  rates.term = rates.softcap = rates.weight = 5e-10;
  rates.task = rates.sequence = 1e-6;
  return rates;
}

constexpr CpuFeatures kCpu = {true, true, true, false};

AttentionParams Params(bool causal = false) {
  AttentionParams params;
  params.scale = 0.125f;
  params.causal = causal;
  return params;
}

// One kind of sequence, `count` times.
struct Problem {
  HeadShape heads = {12, 12, 64, 64};
  DataType type = DataType::kFloat32;
  AttentionParams params = Params();
  int64_t rows = 256, keys = 256, offset = 0, count = 1;
  bool mask = false;
  bool relative_bias = false;
  int workers = 1;

  double Seconds(const AttentionRates& rates = Rates(), const CpuFeatures& cpu = kCpu) const {
    static constexpr std::byte kElement{};
    PlacedSequence sequence;
    sequence.query_length = rows;
    sequence.key_length = keys;
    sequence.query_offset = offset;
    if (mask) sequence.mask = {&kElement, DataType::kBool, 0, 0, 0};
    AttentionShape shape(heads, type);
    shape.has_relative_bias = relative_bias;
    const std::vector<PlacedSequence> sequences(static_cast<size_t>(count), sequence);
    return PredictAttention(rates, cpu, shape, params, sequences, workers);
  }
};

TEST(PredictAttention, GrowsWithEachLength) {
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16, DataType::kFloat16}) {
    for (const int64_t rows : {1, 16, 64, 500, 3000}) {
      double before = 0.0;
      for (const int64_t keys : {1, 10, 100, 1000, 10'000, 32'768}) {
        const double seconds = Problem{.type = type, .rows = rows, .keys = keys}.Seconds();
        EXPECT_GT(seconds, before) << rows << " rows, " << keys << " keys";
        before = seconds;
      }
    }
    double before = 0.0;
    for (const int64_t rows : {1, 64, 256, 1024, 4096, 32'768}) {
      const double seconds = Problem{.type = type, .rows = rows, .keys = 1000}.Seconds();
      EXPECT_GT(seconds, before) << rows << " rows";
      before = seconds;
    }
  }
}

TEST(PredictAttention, GrowsWithHeadsFeaturesAndSequences) {
  const double one = Problem{}.Seconds();
  EXPECT_GT((Problem{.heads = {24, 24, 64, 64}}.Seconds()), one);
  EXPECT_GT((Problem{.heads = {12, 12, 128, 64}}.Seconds()), one);
  EXPECT_GT((Problem{.heads = {12, 12, 64, 128}}.Seconds()), one);
  EXPECT_NEAR(Problem{.count = 10}.Seconds(), 10.0 * one, 1e-9);
}

// 96 heads of one feature over 32,768 x 32,768 keys: 2 * 10^11 multiply-adds, 10^11 scores.
TEST(PredictAttention, ScoresDominateHeadsOfWidthOne) {
  const Problem narrow = {.heads = {96, 96, 1, 1}, .rows = 32'768, .keys = 32'768};
  const double scores = 96.0 * 32'768 * 32'768;
  const double seconds = narrow.Seconds();
  EXPECT_GT(seconds, scores * Rates().prefill[0].score);
  EXPECT_LT(seconds, 1.2 * scores * Rates().prefill[0].score);
  AttentionRates no_products = Rates();
  no_products.prefill[0].multiply_add = 0.0;
  EXPECT_GT(narrow.Seconds(no_products), 0.85 * seconds);
}

TEST(PredictAttention, MultiplyAddsDominateWideHeads) {
  AttentionRates fast_scores = Rates();
  fast_scores.prefill[0].score = 0.0;
  const Problem wide = {.heads = {8, 8, 256, 256}, .rows = 4096, .keys = 4096};
  EXPECT_GT(wide.Seconds(fast_scores), 0.9 * wide.Seconds());
}

TEST(PredictAttention, CausalAndWindowsLeaveLess) {
  const double all = Problem{.rows = 4096, .keys = 4096}.Seconds();
  const AttentionParams causal = Params(true);
  const double half = Problem{.params = causal, .rows = 4096, .keys = 4096}.Seconds();
  EXPECT_NEAR(half / all, 0.5, 0.02);
  AttentionParams window = causal;
  window.window_left = 256;
  EXPECT_LT((Problem{.params = window, .rows = 4096, .keys = 4096}.Seconds()), half / 5.0);
  window.window_left = 8192;
  EXPECT_NEAR((Problem{.params = window, .rows = 4096, .keys = 4096}.Seconds()), half, 0.01 * all);
}

TEST(PredictAttention, AWindowedDecodeReadsTheWindowAlone) {
  AttentionParams window = Params(true);
  window.window_left = 1000;
  const Problem decode = {.params = window, .rows = 1, .keys = 30'000, .offset = 29'999};
  const double all = Problem{.rows = 1, .keys = 30'000}.Seconds();
  EXPECT_LT(decode.Seconds(), all / 15.0);
}

TEST(PredictAttention, ClosedGatesAreNotComputed) {
  AttentionParams gates = Params();
  gates.head_gates.assign(12, 1.0f);
  const double open = Problem{.params = gates}.Seconds();
  gates.head_gates.assign(12, 0.0f);
  gates.head_gates[3] = 0.5f;
  EXPECT_LT((Problem{.params = gates}.Seconds()), open / 2.0);
  gates.head_gates[3] = 0.0f;
  const double closed = Problem{.params = gates}.Seconds();
  EXPECT_LT(closed, open / 10.0);
  EXPECT_GT(closed, 0.0);
}

TEST(PredictAttention, SequencesWithoutQueryRowsTakeNoTime) {
  EXPECT_EQ(Problem{.rows = 0}.Seconds(), 0.0);
  EXPECT_EQ((Problem{.rows = 0, .count = 1000}.Seconds()), 0.0);
  EXPECT_EQ(Problem{.count = 0}.Seconds(), 0.0);
}

TEST(PredictAttention, SequencesWithoutKeysTakeLittle) {
  EXPECT_LT(Problem{.keys = 0}.Seconds(), Problem{}.Seconds() / 10.0);
  EXPECT_GT(Problem{.keys = 0}.Seconds(), 0.0);
}

TEST(PredictAttention, ALongDecodeTakesTheTimeToReadItsKeysAndValues) {
  const Problem decode = {.heads = {32, 8, 128, 128}, .rows = 1, .keys = 32'768};
  const double bytes = 32'768.0 * 8 * 256 * 4;
  AttentionRates slow_memory = Rates();
  slow_memory.memory_byte = 1e-9;
  EXPECT_NEAR(decode.Seconds(slow_memory), bytes * 1e-9, 0.01 * bytes * 1e-9);
  // All workers share the memory.
  slow_memory.shared_memory_byte = 0.8e-9;
  Problem shared = decode;
  shared.workers = 16;
  EXPECT_NEAR(shared.Seconds(slow_memory), bytes * 0.8e-9, 0.01 * bytes * 0.8e-9);
}

TEST(PredictAttention, AShortDecodeReadsWhatACacheMayHold) {
  const Problem decode = {.heads = {4, 4, 64, 64}, .rows = 1, .keys = 400};  // 0.8 MB
  AttentionRates slow = Rates();
  slow.memory_byte = 1e-6;
  EXPECT_EQ(decode.Seconds(slow), decode.Seconds());
  slow.recent_bytes = 0.0;
  EXPECT_GT(decode.Seconds(slow), 0.5);
}

TEST(PredictAttention, WorkersShareTasksUntilEachHasOne) {
  const double one = Problem{.rows = 1024, .keys = 1024}.Seconds();
  EXPECT_NEAR((Problem{.rows = 1024, .keys = 1024, .workers = 4}.Seconds()), one / 4.0, 0.02 * one);
  const Problem single = {.heads = {1, 1, 64, 64}, .rows = 8, .keys = 8};  // one task
  Problem many = single;
  many.workers = 64;
  EXPECT_EQ(many.Seconds(), single.Seconds());
}

TEST(PredictAttention, ConversionTakesTime) {
  const Problem decode = {.rows = 1, .keys = 1000};
  Problem converted = decode;
  converted.type = DataType::kFloat16;
  EXPECT_GT(converted.Seconds(), 1.5 * decode.Seconds());
  // bfloat16 is multiplied as it is where the CPU can, and otherwise converted.
  Problem pairs = decode;
  pairs.type = DataType::kBFloat16;
  EXPECT_LT(pairs.Seconds(), decode.Seconds());
  EXPECT_GT(pairs.Seconds(Rates(), {.avx2 = true, .avx512 = true}), 1.5 * decode.Seconds());
}

TEST(PredictAttention, OptionsTakeTime) {
  const double plain = Problem{}.Seconds();
  EXPECT_GT(Problem{.mask = true}.Seconds(), plain);
  EXPECT_GT(Problem{.relative_bias = true}.Seconds(), plain);
  AttentionParams softcap = Params();
  softcap.softcap = 30.0f;
  EXPECT_GT((Problem{.params = softcap}.Seconds()), plain);
  for (const WeightsOutput output : {WeightsOutput::kPerHead, WeightsOutput::kMean}) {
    AttentionParams weights = Params();
    weights.weights = output;
    EXPECT_GT((Problem{.params = weights}.Seconds()), 1.3 * plain);
  }
}

TEST(PredictAttention, IsFiniteAtTheLargestShapes) {
  constexpr int64_t kMany = int64_t{1} << 20;
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16, DataType::kFloat16}) {
    for (const HeadShape heads : {HeadShape{65536, 65536, 4096, 4096}, HeadShape{65536, 1, 1, 1},
                                  HeadShape{65536, 1, 4096, 4096}}) {
      for (const int64_t rows : {int64_t{1}, kMany}) {
        for (const int64_t offset : {-kFarPosition, int64_t{0}, kFarPosition}) {
          for (const bool causal : {false, true}) {
            Problem problem = {heads, type, Params(causal), rows, kMany, offset};
            problem.params.window_left = kFarPosition;
            const double seconds = problem.Seconds();
            EXPECT_TRUE(std::isfinite(seconds)) << seconds;
            EXPECT_GT(seconds, 0.0);
          }
        }
      }
    }
  }
}

TEST(FitKernelRates, FindsTheRatesOfTwoMeasurements) {
  // 10 scores of 1 s each, and 2 s per multiply-add.
  const KernelRates rates = FitKernelRates({20.0, 200.0, 50.0, 410.0, 10.0});
  EXPECT_DOUBLE_EQ(rates.multiply_add, 2.0);
  EXPECT_DOUBLE_EQ(rates.score, 1.0);
}

TEST(FitKernelRates, IsPositiveWhateverNoiseDoes) {
  const KernelRates slow_narrow = FitKernelRates({20.0, 200.0, 500.0, 410.0, 10.0});
  EXPECT_EQ(slow_narrow.multiply_add, 0.0);
  EXPECT_DOUBLE_EQ(slow_narrow.score, 50.0);
  const KernelRates fast_narrow = FitKernelRates({20.0, 200.0, 1.0, 410.0, 10.0});
  EXPECT_GT(fast_narrow.multiply_add, 0.0);
  EXPECT_DOUBLE_EQ(fast_narrow.score, 0.01);
}

TEST(GetAttentionRates, MeasuresEveryRateOfThisMachine) {
  const AttentionRates& rates = GetAttentionRates();
  const CpuFeatures& cpu = GetCpuFeatures();
  std::vector<double> all = {rates.memory_byte,  rates.shared_memory_byte,  rates.recent_byte,
                             rates.recent_bytes, rates.convert_memory_byte, rates.task,
                             rates.sequence};
  std::vector<KernelRates> kernels = {rates.prefill[0], rates.decode[0]};
  if (cpu.avx512_bf16) {
    kernels.push_back(rates.prefill[cpu.amx_bf16 ? 2 : 1]);
    kernels.push_back(rates.decode[1]);
  }
  for (const KernelRates& kernel : kernels) all.push_back(kernel.score);
  for (const double rate : all) {
    EXPECT_GT(rate, 0.0);
    EXPECT_TRUE(std::isfinite(rate));
  }
  EXPECT_GT(Problem{}.Seconds(rates, cpu), 0.0);
  const std::string text = ToString(rates);
  EXPECT_THAT(text, ContainsRegex("prefill [0-9.e+]+ float32"));
  EXPECT_THAT(text, HasSubstr("GB/s"));
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  EXPECT_THAT(text, Not(HasSubstr("inf")));
}

}  // namespace
}  // namespace attend
