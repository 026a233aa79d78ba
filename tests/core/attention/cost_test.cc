// SPDX-License-Identifier: Apache-2.0
#include "core/attention/cost.h"

#include <optional>
#include <vector>

#include "gtest/gtest.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

double Flops(const RandomProblem& random) {
  return AttentionFlops(random.problem, random.params, random.sequences[0]);
}

TEST(AttentionBytes, CountsEachRowOnce) {
  const HeadShape heads{8, 2, 4, 6};
  SequenceArgs sequence;
  sequence.query_length = 5;
  sequence.key_length = 7;
  EXPECT_EQ(AttentionBytes(heads, DataType::kFloat32, sequence), 4.0 * (5 * 32 + 7 * 20));
  EXPECT_EQ(AttentionBytes(heads, DataType::kBFloat16, sequence), 2.0 * (5 * 32 + 7 * 20));
}

TEST(AttentionFlops, CountsWhatCausalAllowsAndGatesLeave) {
  ProblemShape shape;
  shape.num_heads = 3;
  shape.head_dim = 4;
  shape.value_head_dim = 6;
  shape.lengths = {{5, 7}};
  RandomProblem random(shape, 5);
  EXPECT_EQ(Flops(random), 2.0 * 3 * 35 * 10);
  random.params.head_gates = {1, 0, 1};
  EXPECT_EQ(Flops(random), 2.0 * 2 * 35 * 10);
  random.params.causal = true;
  random.sequences[0].query_offset = -2;  // rows read 0, 0, 1, 2, 3 keys
  EXPECT_EQ(Flops(random), 2.0 * 2 * 6 * 10);
  random.sequences[0].query_offset = 4;  // 5, 6, 7, 7, 7
  EXPECT_EQ(Flops(random), 2.0 * 2 * 32 * 10);
  random.sequences[0].query_offset = -9;
  EXPECT_EQ(Flops(random), 0.0);
  random.sequences[0].query_offset = kFarPosition;
  EXPECT_EQ(Flops(random), 2.0 * 2 * 35 * 10);
}

TEST(AttentionFlops, CountsWhatWindowsAllow) {
  const std::vector<std::optional<int64_t>> windows = {std::nullopt, 0, 1, 3, 20, kFarPosition};
  for (const int64_t offset : {-kFarPosition, int64_t{-4}, int64_t{0}, int64_t{2}, int64_t{9}}) {
    for (const auto& left : windows) {
      for (const auto& right : windows) {
        for (const bool causal : {false, true}) {
          RandomProblem random({.lengths = {{5, 7}}}, 5);
          random.params.causal = causal;
          random.params.window_left = left;
          random.params.window_right = right;
          random.sequences[0].query_offset = offset;
          double pairs = 0.0;
          for (int64_t i = 0; i < 5; ++i) {
            for (int64_t j = 0; j < 7; ++j) {
              pairs += (!causal || j <= offset + i) && (!left || j >= offset + i - *left) &&
                       (!right || j <= offset + i + *right);
            }
          }
          ASSERT_EQ(Flops(random), 4.0 * pairs) << random.ToString();
        }
      }
    }
  }
}

}  // namespace
}  // namespace attend
