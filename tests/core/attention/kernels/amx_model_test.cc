// SPDX-License-Identifier: Apache-2.0

// The kernels' path over AMX tiles on any machine with AVX512-BF16: shapes at the edges of
// tiles. The same program also runs the cases of the kernels' tests.

#include "tests/core/simd/amx_model.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "tests/core/attention/compare.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

using internal::AmxModel;

class OnAmxModel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!AmxModel::Available()) GTEST_SKIP() << "this machine has no AVX512-BF16";
    products_ = AmxModel::Products();
  }
  // Counts the calls of the tile product in this test.
  int64_t products() const { return AmxModel::Products() - products_; }

 private:
  int64_t products_ = 0;
};

const std::vector<int64_t>& EvenWidths() {
  static const std::vector<int64_t> widths = {2,  4,  6,  14, 16,  18,  30,  32,  34,  62, 64,
                                              66, 80, 96, 98, 126, 128, 130, 256, 510, 512};
  return widths;
}

TEST_F(OnAmxModel, EveryWidthMatchesTheReference) {
  for (const int64_t width : EvenWidths()) {
    for (const int64_t value_width : {width, int64_t{1}, int64_t{15}, int64_t{17}, 514 - width}) {
      ProblemShape shape;
      shape.head_dim = width;
      shape.value_head_dim = value_width;
      shape.lengths = {{20, 35}};
      shape.type = DataType::kBFloat16;
      RandomProblem random(shape, static_cast<uint32_t>(width));
      const int64_t before = products();
      ExpectMatchesReference(random, "width");
      ASSERT_FALSE(HasFatalFailure());
      ASSERT_GT(products(), before);
    }
  }
}

TEST_F(OnAmxModel, EveryLengthMatchesTheReference) {
  const std::vector<int64_t> edges = {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 129};
  uint32_t seed = 0;
  for (const int64_t queries : edges) {
    for (const int64_t keys : edges) {
      Draw draw(++seed);
      ProblemShape shape;
      shape.num_heads = draw.Of<int64_t>({1, 3});
      shape.head_dim = draw.Of(EvenWidths());
      shape.value_head_dim = draw.Of<int64_t>({shape.head_dim, 7, 16, 40});
      shape.lengths = {{queries, keys}};
      shape.type = DataType::kBFloat16;
      shape.heads_first = draw.Coin();
      RandomProblem random(shape, seed);
      random.params.causal = draw.Coin();
      random.sequences[0].query_offset = draw.Of<int64_t>({0, keys - queries, 3});
      ExpectMatchesReference(random, "lengths, seed " + std::to_string(seed));
      ASSERT_FALSE(HasFatalFailure());
    }
  }
  EXPECT_GT(products(), 0);
}

// An odd head dimension has no pairs; a scale out of range needs scaled queries.
TEST_F(OnAmxModel, IsNotUsedForWhatTilesCannotHold) {
  for (const int64_t width : {1, 33}) {
    RandomProblem random({.head_dim = width, .lengths = {{20, 35}}, .type = DataType::kBFloat16},
                         1);
    ExpectMatchesReference(random, "odd");
  }
  RandomProblem random({.head_dim = 32, .lengths = {{20, 35}}, .type = DataType::kBFloat16}, 1);
  random.params.scale = 1e-30f;
  ExpectMatchesReference(random, "scale");
  EXPECT_EQ(products(), 0);
}

TEST_F(OnAmxModel, IsNotUsedForFewRows) {
  RandomProblem random({.head_dim = 32, .lengths = {{4, 35}}, .type = DataType::kBFloat16}, 1);
  ExpectMatchesReference(random, "few rows");
  EXPECT_EQ(products(), 0);
}

// 64 keys and features are two products deep, twice; 4 x 4 tiles of each.
TEST_F(OnAmxModel, MultipliesNoTileTwice) {
  ProblemShape shape;
  shape.head_dim = shape.value_head_dim = 64;
  shape.lengths = {{64, 128}};
  shape.type = DataType::kBFloat16;
  RandomProblem random(shape, 1);
  Compute(random, 1);
  EXPECT_EQ(products(), 2 * (4 * 4 * 2 + 4 * 4 * 2));
}

}  // namespace
}  // namespace attend
