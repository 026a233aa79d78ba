// SPDX-License-Identifier: Apache-2.0

// Which kernel computes a problem, in which tasks: a table over shapes, options and CPUs.

#include "core/attention/plan.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/attention/random_problem.h"

namespace attend::internal {
namespace {

CpuFeatures Avx2() {
  return {.avx2 = true};
}
CpuFeatures Avx512() {
  return {.avx2 = true, .avx512 = true};
}
CpuFeatures BFloat16() {
  return {.avx2 = true, .avx512 = true, .avx512_bf16 = true};
}
CpuFeatures Amx() {
  return {.avx2 = true, .avx512 = true, .avx512_bf16 = true, .amx_bf16 = true};
}

// A problem without rows in memory: plans look at none.
struct Shape {
  int64_t heads = 8, kv_heads = 8, head_dim = 64;
  int64_t rows = 1, keys = 1;
  DataType type = DataType::kFloat32;
  AttentionParams params = {};
  int64_t query_offset = 0;

  SequencePlan Plan(const CpuFeatures& cpu, int workers) const {
    SequenceProblem sequence;
    sequence.query_length = rows;
    sequence.key_length = keys;
    sequence.query_offset = query_offset;
    const AttentionProblem problem = {{heads, kv_heads, head_dim, head_dim},
                                      type,
                                      type,
                                      &params,
                                      absl::MakeConstSpan(&sequence, 1)};
    SequencePlan plan = PlanSequence(problem, sequence, cpu);
    SequencePlan* plans[] = {&plan};
    GroupTasks(plans, workers);
    return plan;
  }
};

AttentionParams WithWeights(WeightsOutput weights) {
  AttentionParams params;
  params.weights = weights;
  return params;
}

AttentionParams WithGates(std::vector<float> gates) {
  AttentionParams params;
  params.head_gates = std::move(gates);
  return params;
}

AttentionParams WithScale(float scale) {
  AttentionParams params;
  params.scale = scale;
  return params;
}

struct Case {
  const char* name;
  Shape shape;
  CpuFeatures cpu;
  int workers;
  const char* plan;
};

const std::vector<Case>& Cases() {
  constexpr DataType kBf16 = DataType::kBFloat16, kF16 = DataType::kFloat16;
  static const std::vector<Case> cases = {
      // Prefill kernel: many rows, with the CPU's arithmetic.
      {"prefill",
       {.rows = 512, .keys = 512},
       Avx512(),
       1,
       "prefill float32: 8 x 8 tiles of 64 rows of 1 heads, 4 per task, "
       "16 tasks of 17 million multiply-adds"},
      {"prefill, two workers",
       {.rows = 512, .keys = 512},
       Avx512(),
       2,
       "prefill float32: 8 x 8 tiles of 64 rows of 1 heads, 2 per task, "
       "32 tasks of 8 million multiply-adds"},
      {"prefill in bfloat16",
       {.rows = 512, .keys = 512, .type = kBf16},
       BFloat16(),
       1,
       "prefill bfloat16: 8 x 8 tiles of 64 rows of 1 heads, 4 per task, "
       "16 tasks of 17 million multiply-adds"},
      {"bfloat16 without its instructions",
       {.rows = 65, .keys = 65, .type = kBf16},
       Avx512(),
       1,
       "prefill float32: 2 x 8 tiles of 64 rows of 1 heads, 16 tasks of 1 million multiply-adds"},
      {"bfloat16 with AMX",
       {.rows = 65, .keys = 65, .type = kBf16},
       Amx(),
       1,
       "prefill amx: 2 x 8 tiles of 64 rows of 1 heads, 16 tasks of 1 million multiply-adds"},
      {"float16 with AMX",
       {.rows = 65, .keys = 65, .type = kF16},
       Amx(),
       1,
       "prefill float32: 2 x 8 tiles of 64 rows of 1 heads, 16 tasks of 1 million multiply-adds"},
      {"an odd head dimension has no pairs",
       {.head_dim = 65, .rows = 65, .keys = 65, .type = kBf16},
       Amx(),
       1,
       "prefill float32: 2 x 8 tiles of 64 rows of 1 heads, 16 tasks of 1 million multiply-adds"},
      {"a tiny scale goes into the queries",
       {.rows = 65, .keys = 65, .type = kBf16, .params = WithScale(1e-30f)},
       BFloat16(),
       1,
       "prefill float32: 2 x 8 tiles of 64 rows of 1 heads, 16 tasks of 1 million multiply-adds"},
      // Decode kernel: few rows, for all heads whose keys fit a tile.
      {"one row",
       {.rows = 1, .keys = 100},
       Avx2(),
       1,
       "decode float32: 1 x 1 tiles of 1 rows of 1 heads in 8 groups, "
       "1 splits of 128 keys from 0, 1 per task, 1 tasks of 1 million multiply-adds"},
      {"grouped heads share a tile",
       {.heads = 32, .rows = 1, .keys = 100},
       Avx512(),
       1,
       "decode float32: 1 x 1 tiles of 1 rows of 4 heads in 8 groups, "
       "1 splits of 128 keys from 0, 1 per task, 1 tasks of 1 million multiply-adds"},
      {"bfloat16 decode does not use AMX",
       {.heads = 32, .rows = 1, .keys = 100, .type = kBf16},
       Amx(),
       1,
       "decode bfloat16: 1 x 1 tiles of 1 rows of 4 heads in 8 groups, "
       "1 splits of 128 keys from 0, 1 per task, 1 tasks of 1 million multiply-adds"},
      {"long keys are split",
       {.heads = 32, .head_dim = 128, .rows = 1, .keys = 4096},
       Avx512(),
       2,
       "decode float32: 1 x 1 tiles of 1 rows of 4 heads in 8 groups, "
       "13 splits of 320 keys from 0, 1 per task, 13 tasks of 5 million multiply-adds"},
      {"one worker merges at once",
       {.heads = 32, .head_dim = 128, .rows = 1, .keys = 4096},
       Avx512(),
       1,
       "decode float32: 1 x 1 tiles of 1 rows of 4 heads in 8 groups, "
       "13 splits of 320 keys from 0, 16 per task, 1 tasks of 84 million multiply-adds"},
      {"32 rows over 1,024 keys",
       {.rows = 32, .keys = 1024},
       Avx512(),
       1,
       "decode float32: 1 x 4 tiles of 32 rows of 1 heads in 2 groups, "
       "2 splits of 576 keys from 0, 2 per task, 4 tasks of 9 million multiply-adds"},
      {"33 rows over 1,024 keys",
       {.rows = 33, .keys = 1024},
       Avx512(),
       1,
       "prefill float32: 1 x 8 tiles of 33 rows of 1 heads, 8 tasks of 4 million multiply-adds"},
      {"32 rows over 1,023 keys",
       {.rows = 32, .keys = 1023},
       Avx512(),
       1,
       "prefill float32: 1 x 8 tiles of 32 rows of 1 heads, 8 tasks of 4 million multiply-adds"},
      {"17 rows that are converted",
       {.rows = 17, .keys = 1024, .type = kF16},
       Avx512(),
       1,
       "prefill float32: 1 x 8 tiles of 17 rows of 1 heads, 8 tasks of 2 million multiply-adds"},
      {"9 rows over few keys",
       {.rows = 9, .keys = 255},
       Avx512(),
       1,
       "prefill float32: 1 x 8 tiles of 9 rows of 1 heads, 8 tasks of 0 million multiply-adds"},
      {"split keys of many rows",
       {.heads = 4, .kv_heads = 2, .head_dim = 128, .rows = 40, .keys = 3000},
       Avx512(),
       2,
       "prefill float32: 1 x 4 tiles of 40 rows of 1 heads, 5 splits of 640 keys from 0, "
       "2 per task, 12 tasks of 13 million multiply-adds"},
      {"a gate of 0 needs tiles of its own",
       {.heads = 4, .kv_heads = 2, .rows = 1, .keys = 100, .params = WithGates({1, 0, 1, 1})},
       Avx512(),
       1,
       "decode float32: 1 x 4 tiles of 1 rows of 1 heads, 1 splits of 128 keys from 0, "
       "1 per task, 4 tasks of 0 million multiply-adds"},
      {"weights need all keys at once",
       {.rows = 1, .keys = 4096, .params = WithWeights(WeightsOutput::kPerHead)},
       Avx512(),
       2,
       "prefill float32: 1 x 8 tiles of 1 rows of 1 heads, 8 tasks of 8 million multiply-adds"},
      // No task takes longer than a few milliseconds, however long the keys are.
      {"four tiles of 4,096 keys",
       {.head_dim = 128, .rows = 4096, .keys = 4096},
       Avx512(),
       1,
       "prefill float32: 64 x 8 tiles of 64 rows of 1 heads, 4 per task, "
       "128 tasks of 268 million multiply-adds"},
      {"one tile of 16,384 keys",
       {.head_dim = 128, .rows = 128, .keys = 16384},
       Avx512(),
       1,
       "prefill float32: 2 x 8 tiles of 64 rows of 1 heads, 16 tasks of 268 million multiply-adds"},
      {"longer keys are split",
       {.head_dim = 128, .rows = 128, .keys = 32768},
       Avx512(),
       1,
       "prefill float32: 2 x 8 tiles of 64 rows of 1 heads, 2 splits of 16384 keys from 0, "
       "1 per task, 32 tasks of 268 million multiply-adds"},
      {"weights over longer keys have fewer rows per tile",
       {.head_dim = 128,
        .rows = 128,
        .keys = 32768,
        .params = WithWeights(WeightsOutput::kPerHead)},
       Avx512(),
       1,
       "prefill float32: 8 x 8 tiles of 16 rows of 1 heads, 64 tasks of 268 million multiply-adds"},
  };
  return cases;
}

TEST(PlanSequence, DecidesByShapeOptionsAndCpu) {
  for (const Case& test : Cases()) {
    EXPECT_EQ(ToString(test.shape.Plan(test.cpu, test.workers)), test.plan) << test.name;
  }
}

// Splits, kernels and tiles decide how sums are rounded.
TEST(PlanSequence, GivesEveryNumberOfWorkersTheSameTilesAndSplits) {
  for (const Case& test : Cases()) {
    const SequencePlan one = test.shape.Plan(test.cpu, 1), many = test.shape.Plan(test.cpu, 96);
    EXPECT_EQ(one.choice.kernel, many.choice.kernel) << test.name;
    EXPECT_EQ(one.rows_per_tile, many.rows_per_tile) << test.name;
    EXPECT_EQ(one.tiles(), many.tiles()) << test.name;
    EXPECT_EQ(one.first_key, many.first_key) << test.name;
    EXPECT_EQ(one.keys_per_split, many.keys_per_split) << test.name;
    EXPECT_EQ(one.num_splits, many.num_splits) << test.name;
  }
}

TEST(PlanSequence, BoundsTheWorkOfATaskForAnyLength) {
  for (const int64_t rows : {1, 7, 64, 65, 4096}) {
    for (const int64_t keys : {1, 1000, 32768, 1000000}) {
      for (const int64_t head_dim : {1, 64, 256, 4096}) {
        for (const int workers : {1, 2, 128}) {
          const Shape shape = {.heads = 32, .head_dim = head_dim, .rows = rows, .keys = keys};
          const SequencePlan plan = shape.Plan(Avx512(), workers);
          EXPECT_LE(plan.task_work(), kMaxTaskWork) << ToString(plan);
          EXPECT_GE(plan.tasks(), 1);
        }
      }
    }
  }
}

// Every query row of every head is in one tile.
TEST(MakeTile, CoversRowsAndHeadsOnce) {
  for (const Case& test : Cases()) {
    const SequencePlan plan = test.shape.Plan(test.cpu, test.workers);
    RandomProblem random({.num_heads = test.shape.heads,
                          .num_kv_heads = test.shape.kv_heads,
                          .lengths = {{test.shape.rows, 1}}},
                         1);
    std::vector<int> seen(static_cast<size_t>(test.shape.heads * test.shape.rows));
    for (int64_t i = 0; i < plan.tiles(); ++i) {
      const QueryTile tile = MakeTile(random.problem, random.sequences[0], plan, i);
      EXPECT_LE(tile.size(), kTileRows) << test.name;
      EXPECT_LE(tile.size(), plan.max_tile_size()) << test.name;
      for (int row = 0; row < tile.size(); ++row) {
        ++seen[static_cast<size_t>(tile.head(row) * test.shape.rows + tile.query_row(row))];
      }
    }
    EXPECT_THAT(seen, ::testing::Each(1)) << test.name;
  }
}

}  // namespace
}  // namespace attend::internal
