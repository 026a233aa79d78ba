// SPDX-License-Identifier: Apache-2.0

// The decode kernel, the splits of long keys and their merge, against the reference in double.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/attention/decode_prefetch.h"
#include "core/attention/state.h"
#include "gtest/gtest.h"
#include "tests/core/attention/compare.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

ProblemShape Shape(int64_t heads, int64_t kv_heads, int64_t width, DataType type) {
  ProblemShape shape;
  shape.num_heads = heads;
  shape.num_kv_heads = kv_heads;
  shape.head_dim = shape.value_head_dim = width;
  shape.type = shape.output_type = type;
  return shape;
}

class Decode : public ::testing::TestWithParam<DataType> {};

// Rows and heads from one to more than the kernel takes, widths that are not multiples of a
// vector, keys around every boundary of blocks and splits.
TEST_P(Decode, MatchTheReferenceOverShapesOptionsAndKeys) {
  for (uint32_t seed = 0; seed < 80; ++seed) {
    Draw draw(seed);
    const int64_t kv_heads = draw.Of<int64_t>({1, 2, 3, 8});
    ProblemShape shape = Shape(kv_heads * draw.Of<int64_t>({1, 2, 3, 4, 5, 8}), kv_heads,
                               draw.Of<int64_t>({1, 2, 15, 16, 33, 40, 64, 128, 130}), GetParam());
    // With few numbers, the plain computation, which gives the bound, may be exact by chance.
    if (shape.head_dim < 15 || draw.Coin(0.3)) {
      shape.value_head_dim = draw.Of<int64_t>({31, 32, 96, 257});
    }
    for (int64_t n = draw.In(1, 2); n > 0; --n) {
      shape.lengths.push_back(
          {draw.In(1, 6), draw.Of<int64_t>({1, 5, 63, 64, 65, 255, 512, 700, 1030})});
    }
    shape.heads_first = draw.Coin();
    if (draw.Coin()) shape.shift = draw.In(1, 15);
    if (draw.Coin(0.3)) shape.gap = draw.In(1, 9);
    RandomProblem random(shape, seed);
    AddOptions(draw, random);
    // Far keys have scores of hundreds, and rounding those decides which computation errs more.
    for (SequenceProblem& sequence : random.sequences) {
      if (sequence.key_length > 60) sequence.alibi_slopes = nullptr;
    }
    ExpectMatchesReference(random, "seed " + std::to_string(seed));
  }
}

// 8 heads of 128 are split from 512 keys on.
TEST_P(Decode, MatchTheReferenceWhereLongKeysAreSplit) {
  for (const int64_t keys : {511, 512, 513, 1500}) {
    for (const bool options : {false, true}) {
      ProblemShape shape = Shape(16, 8, 128, GetParam());
      shape.lengths = {{1, keys}, {2, keys - 100}};
      RandomProblem random(shape, static_cast<uint32_t>(keys));
      random.params.causal = true;
      random.sequences[0].query_offset = keys - 1;
      random.sequences[1].query_offset = keys / 2;
      random.AskForLogSumExp(true);
      if (options) {
        random.AddSinks();
        random.AddMask(0, true, true, true, 0.3);
        random.AddBias(1, DataType::kFloat32, false, true, true, 0.2);
        random.params.window_left = keys / 3;
        random.params.softcap = 5.0f;
      }
      ExpectMatchesReference(random, std::to_string(keys) + " keys");
    }
  }
}

TEST_P(Decode, MatchTheReferenceWhereTilesOfManyRowsAreSplit) {
  ProblemShape shape = Shape(4, 2, 128, GetParam());
  shape.lengths = {{20, 3000}};
  RandomProblem random(shape, 5);
  random.params.causal = true;
  random.sequences[0].query_offset = 2500;
  random.AskForLogSumExp(false);
  ExpectMatchesReference(random, "20 rows");
}

// Splits of a head that is not computed must not write its output at the same time.
TEST_P(Decode, MatchTheReferenceWhereSplitHeadsHaveGates) {
  ProblemShape shape = Shape(4, 2, 128, GetParam());
  shape.lengths = {{1, 4100}};
  RandomProblem random(shape, 6);
  random.params.head_gates = {1.0f, 0.0f, -2.0f, 0.0f};
  random.AskForLogSumExp(true);
  ExpectMatchesReference(random, "gates");
}

void ExpectTheSameOfAllWorkers(RandomProblem& random, const std::string& what) {
  random.AskForLogSumExp(true);
  Compute(random, 1);
  const std::vector<float> output = random.Output(), log = random.LogSumExp();
  for (const int workers : {2, 3, 5, 16}) {
    random.ClearResults();
    Compute(random, workers);
    EXPECT_EQ(random.Output(), output) << what << ", workers: " << workers;
    EXPECT_EQ(random.LogSumExp(), log) << what << ", workers: " << workers;
  }
}

TEST_P(Decode, DoNotDependOnWorkers) {
  ProblemShape shape = Shape(8, 8, 64, GetParam());
  shape.lengths = {{1, 3000}, {3, 900}, {20, 2500}, {40, 2500}};
  RandomProblem random(shape, 9);
  ExpectTheSameOfAllWorkers(random, "several lengths");
}

// Prefetch is chosen by a measurement, which must never show in a result.
TEST_P(Decode, DoNotDependOnPrefetch) {
  for (const bool heads_first : {false, true}) {
    ProblemShape shape = Shape(12, 3, 80, GetParam());
    shape.lengths = {{1, 700}, {3, 130}};
    shape.heads_first = heads_first;
    RandomProblem random(shape, 13);
    Compute(random);
    const std::vector<float> expected = random.Output();
    const AttentionProblem* problems[] = {&random.problem};
    for (const PrefetchPolicy& policy : internal::DecodePrefetchCandidates()) {
      internal::Machine machine = MachineUnderTest();
      internal::KernelTable kernels = *machine.kernels;
      kernels.decode_prefetch = policy;
      machine.kernels = &kernels;
      random.ClearResults();
      ExecutionContext context(2);
      internal::ComputeAttention(problems, context, machine);
      EXPECT_EQ(random.Output(), expected) << ToString(policy);
    }
  }
}

TEST(ChooseDecodePrefetch, TakesACandidate) {
  const absl::Span<const PrefetchPolicy> candidates = internal::DecodePrefetchCandidates();
  EXPECT_EQ(std::count(candidates.begin(), candidates.end(), internal::ChooseDecodePrefetch()), 1);
}

// The number of splits per task depends on the workers, the order of merges does not: from none
// to the most splits, powers of two and not.
TEST_P(Decode, DoNotDependOnWorkersForAnyNumberOfSplits) {
  for (const int64_t keys : {500, 800, 1400, 1800, 2900, 4100, 5200, 7800, 9000}) {
    for (const bool gates : {false, true}) {
      ProblemShape shape = Shape(8, 4, 128, GetParam());
      shape.lengths = {{1, keys}};
      RandomProblem random(shape, 11);
      if (gates) random.params.head_gates = {1.0f, 0.0f, 2.0f, 1.0f, 0.0f, 0.0f, 0.5f, 1.0f};
      ExpectTheSameOfAllWorkers(random, std::to_string(keys) + (gates ? " keys, gates" : " keys"));
    }
  }
}

// Whole splits that no row reads, or whose scores are all -inf.
TEST_P(Decode, SplitsWithoutReadableKeysLeaveNoTrace) {
  for (const float key : {1.0f, -std::numeric_limits<float>::infinity()}) {
    ProblemShape shape = Shape(8, 8, 128, GetParam());
    shape.lengths = {{1, 2048}};
    RandomProblem random(shape, 2);
    random.AskForLogSumExp(true);
    random.SetQuery(0, 0, 0.5f);
    for (int64_t j = 0; j < 1024; ++j) random.SetKey(0, j, key);
    if (std::isfinite(key)) {
      random.sequences[0].query_offset = 2047;
      random.params.window_left = 700;
    }
    ExpectMatchesReference(random, "empty splits");
  }
}

// Values that are not finite, of keys that a row does not read.
TEST_P(Decode, UnreadableKeysDoNotInfluence) {
  for (const float trap :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    ProblemShape shape = Shape(4, 2, 40, GetParam());
    shape.lengths = {{2, 300}};
    RandomProblem random(shape, 4);
    random.params.causal = true;
    random.sequences[0].query_offset = 200;
    random.SetValue(0, 201, trap);  // read by one row, but not by the other
    random.SetValue(0, 250, trap);
    random.SetKey(0, 250, trap);
    ExpectMatchesReference(random, "unreadable");
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Decode,
                         ::testing::Values(DataType::kFloat32, DataType::kFloat16,
                                           DataType::kBFloat16),
                         [](const auto& type) { return std::string(Name(type.param)); });

TEST(LogSumExp, AddsASinkWithoutOverflow) {
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  EXPECT_FLOAT_EQ(internal::LogSumExp(3.0, 2.0, kNone), static_cast<float>(3.0 + std::log(2.0)));
  EXPECT_FLOAT_EQ(internal::LogSumExp(0.0, 1.0, 0.0), static_cast<float>(std::log(2.0)));
  EXPECT_FLOAT_EQ(internal::LogSumExp(-2000.0, 1.0, 2000.0), 2000.0f);
  EXPECT_FLOAT_EQ(internal::LogSumExp(2000.0, 1.0, -2000.0), 2000.0f);
  EXPECT_EQ(internal::LogSumExp(0.0, 0.0, kNone), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(internal::LogSumExp(0.0, 0.0, -7.0), -7.0f);
  EXPECT_TRUE(std::isnan(internal::LogSumExp(0.0, std::nan(""), 1.0)));
}

}  // namespace
}  // namespace attend
