// SPDX-License-Identifier: Apache-2.0
#include "core/layer/layer_rates.h"

#include <cmath>
#include <vector>

#include "core/simd/cpu.h"
#include "gtest/gtest.h"
#include "tests/support/matmul_from_environment.h"

namespace attend {
namespace {

std::unique_ptr<const Layer> MakeLayer(int64_t embed, int64_t heads, bool rotary = false) {
  LayerConfig c;
  c.name = "layer";
  c.embed_dim = c.key_dim = c.value_dim = embed;
  c.num_heads = c.num_kv_heads = heads;
  c.head_dim = c.value_head_dim = embed / heads;
  c.scale = 1.0f;
  if (rotary) c.rotary.emplace().width = c.head_dim;
  LayerWeights w;
  w.query_weight = w.key_weight = w.value_weight = w.output_weight =
      std::vector<float>(static_cast<size_t>(embed * embed), 0.01f);
  return *Layer::Create(WithMatmulFromEnvironment(c), w);
}

// The prediction for `count` sequences of equal length, with projections of one second per
// 10^9 multiply-adds and attention that takes no time.
double Predict(const Layer& layer, int64_t rows, int64_t keys, int64_t count = 1, int workers = 1,
               const AttentionRates& attention = {}, DataType type = DataType::kFloat32) {
  PlacedSequence sequence;
  sequence.query_length = rows;
  sequence.key_length = keys;
  const std::vector<PlacedSequence> sequences(static_cast<size_t>(count), sequence);
  AttentionParams params;
  params.scale = 1.0f;
  LayerRates rates;
  rates.multiply_add = 1e-9;
  rates.batch = 5.0;
  return PredictLayer(layer, rates, attention, GetCpuFeatures(),
                      {&params, type, KeySource::kQueryRows, sequences, workers});
}

TEST(PredictLayer, CountsTheProjectionsOfEachRow) {
  const auto layer = MakeLayer(256, 4);
  const double weight = 256.0 * 256.0;
  EXPECT_DOUBLE_EQ(Predict(*layer, 64, 64), 64 * 4 * weight * 1e-9);
  EXPECT_DOUBLE_EQ(Predict(*layer, 64, 128), (64 * 2 + 128 * 2) * weight * 1e-9);
  EXPECT_DOUBLE_EQ(Predict(*layer, 16'384, 16'384), 16'384 * 4 * weight * 1e-9);
}

TEST(PredictLayer, SequencesWithoutQueryRowsTakeNoTime) {
  const auto layer = MakeLayer(64, 2);
  EXPECT_EQ(Predict(*layer, 0, 100), 0.0);
  EXPECT_EQ(Predict(*layer, 0, 100, 7), 0.0);
  EXPECT_EQ(Predict(*layer, 1, 1, 0), 0.0);
}

TEST(PredictLayer, WorkersShareTheTasksThatThereAre) {
  const auto layer = MakeLayer(256, 4);
  const double one = Predict(*layer, 4096, 4096);
  EXPECT_NEAR(Predict(*layer, 4096, 4096, 1, 4), one / 4.0, 0.01 * one);
  // A row has few tasks, and more workers than tasks help nobody.
  EXPECT_EQ(Predict(*layer, 1, 1, 1, 1000), Predict(*layer, 1, 1, 1, 2000));
}

TEST(PredictLayer, AddsAttentionConversionAndRotation) {
  const auto plain = MakeLayer(64, 2), rotary = MakeLayer(64, 2, true);
  AttentionRates attention;
  attention.feature = 1e-3;
  attention.prefill[0].score = 1e-3;
  EXPECT_GT(Predict(*plain, 64, 64, 1, 1, attention), 2 * 64 * 64 * 1e-3);
  attention.prefill[0].score = 0.0;
  const double float32 = Predict(*plain, 64, 64, 1, 1, attention);
  EXPECT_NEAR(Predict(*plain, 64, 64, 1, 1, attention, DataType::kFloat16) - float32,
              2 * 64 * 64 * 1e-3, 1e-6);
  EXPECT_GT(Predict(*rotary, 64, 64, 1, 1, attention), float32);
}

TEST(PredictLayer, IsFiniteForManyRows) {
  const auto layer = MakeLayer(64, 2);
  EXPECT_TRUE(std::isfinite(Predict(*layer, int64_t{1} << 20, int64_t{1} << 20, 1000)));
}

TEST(MeasureLayer, FindsPositiveRates) {
  for (const int workers : {1, 2}) {
    ExecutionContext context(workers);
    const LayerRates rates = MeasureLayer(*MakeLayer(128, 2), context);
    EXPECT_GT(rates.multiply_add, 0.0);
    EXPECT_GT(rates.batch, 0.0);
    EXPECT_TRUE(std::isfinite(rates.multiply_add));
    EXPECT_TRUE(std::isfinite(rates.batch));
  }
}

TEST(HaveSameRates, ComparesTheShapesOfProjections) {
  const auto a = MakeLayer(64, 2), b = MakeLayer(64, 4, true), c = MakeLayer(128, 2);
  EXPECT_TRUE(HaveSameRates(*a, *a));
  EXPECT_TRUE(HaveSameRates(*a, *b));
  EXPECT_FALSE(HaveSameRates(*a, *c));
}

}  // namespace
}  // namespace attend
