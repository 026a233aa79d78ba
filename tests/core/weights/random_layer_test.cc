// SPDX-License-Identifier: Apache-2.0
#include "core/weights/random_layer.h"

#include <cmath>

#include "core/base/sha256.h"
#include "core/weights/load.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::HasSubstr;

RandomLayerSpec Spec() {
  return {.name = "r",
          .embed_dim = 12,
          .num_heads = 6,
          .num_kv_heads = 2,
          .head_dim = 4,
          .seed = 1234567};
}

std::string Checksum(const LayerWeights& weights) {
  std::string bytes;
  for (const auto* tensor :
       {&weights.query_weight, &weights.query_bias, &weights.key_weight, &weights.key_bias,
        &weights.value_weight, &weights.value_bias, &weights.output_weight, &weights.output_bias}) {
    bytes.append(reinterpret_cast<const char*>(tensor->data()), tensor->size() * sizeof(float));
  }
  return *Sha256Hex(bytes);
}

TEST(RandomLayer, StartsWithTheFirstNumbersOfSplitMix64) {
  // The generator's first three outputs for seed 1234567, as published with
  // many implementations of it.
  const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u};
  const auto layer = DrawRandomLayer(Spec());
  ASSERT_TRUE(layer.ok()) << layer.status();
  const auto bound = static_cast<float>(std::sqrt(3.0 / 12.0));
  for (int i = 0; i < 3; ++i) {
    const double u = static_cast<double>(expected[i] >> 40) / (1 << 24);
    EXPECT_EQ(layer->weights.query_weight[i], bound * static_cast<float>(2 * u - 1));
  }
}

// The checksums were computed with numpy by tests/support/python/random_layer.py.
TEST(RandomLayer, IsTheSameOnEveryMachine) {
  EXPECT_EQ(Checksum(DrawRandomLayer(Spec())->weights),
            "f519c4b8210a5c9b2e8e9f0bd4088138f6aecea167750dcc60e8ba2ab3634216");
  const RandomLayerSpec bert = {.name = "bert", .embed_dim = 768, .num_heads = 12};
  EXPECT_EQ(Checksum(DrawRandomLayer(bert)->weights),
            "5a210467c91a3abee317d59624d4ef1116cba08db20f7f36776390d3b0e5ad55");
}

TEST(RandomLayer, HasTheShapesOfItsSpec) {
  const auto layer = DrawRandomLayer(Spec());
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->config.num_kv_heads, 2);
  EXPECT_EQ(layer->config.head_dim, 4);
  EXPECT_EQ(layer->config.scale, 0.5f);
  EXPECT_EQ(layer->weights.query_weight.size(), 24u * 12u);
  EXPECT_EQ(layer->weights.key_weight.size(), 8u * 12u);
  EXPECT_EQ(layer->weights.value_bias.size(), 8u);
  EXPECT_EQ(layer->weights.output_weight.size(), 12u * 24u);
  EXPECT_EQ(layer->weights.output_bias.size(), 12u);
}

TEST(RandomLayer, HasTheSettingsOfItsSpec) {
  RandomLayerSpec spec = Spec();
  spec.scale = 1.0f;
  spec.softcap = 2.0f;
  spec.window_left = 3;
  spec.window_right = 0;
  spec.qk_norm = true;
  spec.rotary.emplace().interleaved = true;
  spec.relative_buckets = 8;
  spec.relative_max_distance = 20;
  const auto layer = DrawRandomLayer(spec);
  ASSERT_TRUE(layer.ok()) << layer.status();
  const LayerConfig& config = layer->config;
  EXPECT_EQ(config.scale, 1.0f);
  EXPECT_EQ(config.softcap, 2.0f);
  EXPECT_EQ(config.window_left, 3);
  EXPECT_EQ(config.window_right, 0);
  EXPECT_TRUE(config.query_key_norm);
  ASSERT_TRUE(config.rotary.has_value());
  EXPECT_EQ(config.rotary->width, 4);  // the head's
  EXPECT_EQ(config.rotary->theta, 10000.0);
  EXPECT_EQ(config.rotary->layout, RotaryConfig::Layout::kInterleaved);
  ASSERT_TRUE(config.relative_bias.has_value());
  EXPECT_EQ(config.relative_bias->buckets, 8);
  EXPECT_EQ(config.relative_bias->max_distance, 20);
  EXPECT_EQ(layer->weights.relative_bias.size(), 8u * 6u);
  for (const auto* norm : {&layer->weights.query_norm, &layer->weights.key_norm}) {
    ASSERT_EQ(norm->size(), 4u);
    for (const float weight : *norm) EXPECT_TRUE(weight >= 0.5f && weight < 1.5f) << weight;
  }
  // The projections are those of the plain layer, its name is not.
  EXPECT_EQ(Checksum(layer->weights), Checksum(DrawRandomLayer(Spec())->weights));
  EXPECT_NE(config.sha256, DrawRandomLayer(Spec())->config.sha256);
  EXPECT_TRUE(MakeRandomLayer(spec).ok());
}

TEST(RandomLayer, NamesItsDefinitionByChecksum) {
  EXPECT_EQ(DrawRandomLayer(Spec())->config.sha256,
            *Sha256Hex("attend random layer 1\nembed_dim=12\nnum_heads=6\nnum_kv_heads=2\n"
                       "head_dim=4\nseed=1234567\n"));
  RandomLayerSpec other = Spec();
  other.seed = 2;
  EXPECT_NE(DrawRandomLayer(other)->config.sha256, DrawRandomLayer(Spec())->config.sha256);
  EXPECT_NE(Checksum(DrawRandomLayer(other)->weights), Checksum(DrawRandomLayer(Spec())->weights));
}

TEST(RandomLayer, RefusesSizesThatDoNotFit) {
  const auto refusal = [](auto change) {
    RandomLayerSpec spec = Spec();
    change(spec);
    return std::string(DrawRandomLayer(spec).status().message());
  };
  EXPECT_THAT(refusal([](auto& spec) { spec.num_kv_heads = 4; }),
              HasSubstr("random layer r: num_heads=6 is not a multiple of num_kv_heads=4"));
  EXPECT_THAT(refusal([](auto& spec) {
                spec.embed_dim = 13;
                spec.head_dim = 0;
              }),
              HasSubstr("embed_dim=13 is not a multiple of num_heads=6; head_dim must be given"));
  EXPECT_THAT(refusal([](auto& spec) { spec.embed_dim = 0; }), HasSubstr("embed_dim"));
  EXPECT_THAT(refusal([](auto& spec) { spec.num_heads = int64_t{1} << 62; }),
              HasSubstr("num_heads is not from 1 to 1048576"));
  EXPECT_THAT(refusal([](auto& spec) {
                spec.embed_dim = 1 << 20;
                spec.head_dim = 1 << 20;
              }),
              HasSubstr("more than 1073741824 parameters"));
  EXPECT_THAT(refusal([](auto& spec) { spec.rotary.emplace().dim = 3; }),
              HasSubstr("rotary_dim=3 is not an even number from 2 to head_dim=4"));
  EXPECT_THAT(refusal([](auto& spec) { spec.rotary.emplace().dim = 6; }),
              HasSubstr("rotary_dim=6"));
  EXPECT_THAT(refusal([](auto& spec) {
                spec.head_dim = 5;
                spec.rotary.emplace();
              }),
              HasSubstr("rotary_dim=5 is not an even number from 2 to head_dim=5"));
  EXPECT_THAT(refusal([](auto& spec) { spec.relative_buckets = 7; }),
              HasSubstr("relative_buckets=7"));
}

}  // namespace
}  // namespace attend
