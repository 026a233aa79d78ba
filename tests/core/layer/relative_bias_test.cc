// SPDX-License-Identifier: Apache-2.0
#include "core/layer/relative_bias.h"

#include "gtest/gtest.h"

namespace attend::internal {
namespace {

constexpr int64_t kHeads = 3;

SequenceArgs Sequence(int64_t rows, int64_t keys, int64_t offset) {
  SequenceArgs sequence;
  sequence.query_length = rows;
  sequence.key_length = keys;
  sequence.query_offset = offset;
  return sequence;
}

// Bucket b of head h is 100 h + b.
std::vector<float> Weights(int64_t buckets) {
  std::vector<float> weights;
  for (int64_t b = 0; b < buckets; ++b) {
    for (int64_t h = 0; h < kHeads; ++h) weights.push_back(static_cast<float>(100 * h + b));
  }
  return weights;
}

float At(const ScoreTerm& term, int64_t head, int64_t row, int64_t key) {
  return reinterpret_cast<const float*>(
      term.data)[head * term.head_stride + row * term.row_stride + key * term.key_stride];
}

TEST(RelativeBias, HasABucketForEachSmallDistanceAndWiderOnesBeyond) {
  const RelativeBiasConfig both{32, 128, true}, back{32, 128, false};
  EXPECT_EQ(RelativeBias::Bucket(both, 0), 0);
  EXPECT_EQ(RelativeBias::Bucket(both, -7), 7);
  EXPECT_EQ(RelativeBias::Bucket(both, 7), 16 + 7);
  EXPECT_EQ(RelativeBias::Bucket(both, -8), 8);
  EXPECT_EQ(RelativeBias::Bucket(both, -11), 8);
  EXPECT_EQ(RelativeBias::Bucket(both, -12), 9);
  EXPECT_EQ(RelativeBias::Bucket(both, -128), 15);
  EXPECT_EQ(RelativeBias::Bucket(both, 1 << 20), 31);
  EXPECT_EQ(RelativeBias::Bucket(back, 5), 0);  // later keys share the first bucket
  EXPECT_EQ(RelativeBias::Bucket(back, -15), 15);
  EXPECT_EQ(RelativeBias::Bucket(back, -1000), 31);
}

TEST(RelativeBias, GivesEachPairOfRowAndKeyTheBucketOfItsDistance) {
  for (const bool bidirectional : {false, true}) {
    const RelativeBiasConfig config{8, 20, bidirectional};
    const RelativeBias bias(config, kHeads, Weights(config.buckets));
    for (const int64_t offset : {int64_t{0}, int64_t{5}, int64_t{-3}, int64_t{30}, int64_t{-70},
                                 int64_t{1} << 61, -(int64_t{1} << 61)}) {
      for (const auto& [rows, keys] :
           {std::pair<int64_t, int64_t>{1, 1}, {7, 40}, {40, 7}, {1, 30}, {30, 1}}) {
        const SequenceArgs sequence = Sequence(rows, keys, offset);
        EXPECT_EQ(bias.CountElements(sequence), kHeads * (rows + keys - 1));
        std::vector<float> data(bias.CountElements(sequence));
        for (int64_t h = 0; h < kHeads; ++h) bias.Fill(sequence, h, data.data());
        const ScoreTerm term = bias.Term(sequence, data.data());
        for (int64_t h = 0; h < kHeads; ++h) {
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < keys; ++j) {
              const int64_t bucket = RelativeBias::Bucket(config, j - (offset + i));
              EXPECT_EQ(At(term, h, i, j), static_cast<float>(100 * h + bucket))
                  << "offset " << offset << ", row " << i << ", key " << j;
            }
          }
        }
      }
    }
  }
}

TEST(RelativeBias, NeedsNothingWhereThereIsNothingToScore) {
  const RelativeBiasConfig config{8, 20, true};
  const RelativeBias bias(config, kHeads, Weights(config.buckets));
  EXPECT_EQ(bias.CountElements(Sequence(0, 5, 0)), 0);
  EXPECT_EQ(bias.CountElements(Sequence(5, 0, 0)), 0);
  bias.Fill(Sequence(5, 0, 0), 0, nullptr);
  EXPECT_EQ(bias.Term(Sequence(5, 0, 0), nullptr).data, nullptr);
}

}  // namespace
}  // namespace attend::internal
