// SPDX-License-Identifier: Apache-2.0
#include "core/weights/torch_source.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/weights/test_files.h"

namespace attend {
namespace {

using ::testing::HasSubstr;

TensorSet Stacked() {
  return TensorSet()
      .Add("in_proj_bias", {12})       // 0
      .Add("in_proj_weight", {12, 4})  // 1000
      .Add("out_proj.bias", {4})       // 2000
      .Add("out_proj.weight", {4, 4});
}

TensorSet Separate() {
  return TensorSet()
      .Add("k_proj_weight", {4, 3})    // 0
      .Add("out_proj.weight", {4, 4})  // 1000
      .Add("q_proj_weight", {4, 4})    // 2000
      .Add("v_proj_weight", {4, 5});
}

absl::StatusOr<LayerParameters> Load(const TempDir& dir, const TensorSet& set,
                                     int64_t num_heads = 2) {
  ModelSpec spec;
  spec.name = "torch";
  spec.path = dir.Write("mha.safetensors", set.Bytes());
  spec.num_heads = num_heads;
  const auto source = OpenTorchAttention(spec);
  if (!source.ok()) return source.status();
  EXPECT_EQ((*source)->num_layers(), 1);
  return (*source)->Read(0);
}

TEST(TorchAttention, SplitsTheStackedProjections) {
  TempDir dir;
  const auto layer = Load(dir, Stacked());
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->config.name, "torch");
  EXPECT_EQ(layer->config.embed_dim, 4);
  EXPECT_EQ(layer->config.key_dim, 4);
  EXPECT_EQ(layer->config.value_dim, 4);
  EXPECT_EQ(layer->config.num_heads, 2);
  EXPECT_EQ(layer->config.head_dim, 2);
  EXPECT_EQ(layer->config.scale, static_cast<float>(std::sqrt(0.5)));
  EXPECT_EQ(layer->weights.query_weight[0], 1000.0f);
  EXPECT_EQ(layer->weights.key_weight[0], 1016.0f);
  EXPECT_EQ(layer->weights.value_weight[0], 1032.0f);
  EXPECT_EQ(layer->weights.value_weight.size(), 16u);
  EXPECT_EQ(layer->weights.query_bias[0], 0.0f);
  EXPECT_EQ(layer->weights.key_bias[0], 4.0f);
  EXPECT_EQ(layer->weights.value_bias[3], 11.0f);
  EXPECT_EQ(layer->weights.output_weight[0], 3000.0f);
  EXPECT_EQ(layer->weights.output_bias[0], 2000.0f);
}

TEST(TorchAttention, TakesKeyAndValueWidthsFromSeparateProjections) {
  TempDir dir;
  const auto layer = Load(dir, Separate());
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->config.key_dim, 3);
  EXPECT_EQ(layer->config.value_dim, 5);
  EXPECT_EQ(layer->weights.key_weight.size(), 12u);
  EXPECT_EQ(layer->weights.query_weight[0], 2000.0f);
  EXPECT_EQ(layer->weights.value_weight[0], 3000.0f);
  EXPECT_TRUE(layer->weights.query_bias.empty());
  EXPECT_TRUE(layer->weights.output_bias.empty());
}

TEST(TorchAttention, RefusesWhatDoesNotFit) {
  struct Row {
    TensorSet tensors;
    int64_t num_heads;
    const char* message;
  };
  const Row rows[] = {
      {Stacked(), 0, "does not hold the number of heads; give it as num_heads=N"},
      {Stacked(), 3,
       "tensor \"out_proj.weight\" has width 4, which is not a multiple of num_heads=3"},
      {Stacked().Add("bias_k", {1, 1, 4}), 2, "tensor \"bias_k\" is an extra key or value"},
      {Stacked().Add("bias_v", {1, 1, 4}), 2, "tensor \"bias_v\" is an extra key or value"},
      {Stacked().Add("other", {1}), 2, "tensor \"other\" does not belong to torch.nn.Multihead"},
      {Stacked().Add("q_proj_weight", {4, 4}), 2,
       "tensor \"in_proj_weight\" must not exist beside"},
      {Stacked().Drop("in_proj_bias"), 2, "tensor \"in_proj_bias\" is missing; in_proj_bias and"},
      {Stacked().Drop("out_proj.bias"), 2, "tensor \"out_proj.bias\" is missing; in_proj_bias"},
      {Stacked().Drop("out_proj.weight"), 2, "tensor \"out_proj.weight\" is missing"},
      {Stacked().Add("in_proj_weight", {11, 4}), 2,
       "tensor \"in_proj_weight\" has shape [11, 4], but must have [12, 4]"},
      {Stacked().Add("out_proj.weight", {4, 3}), 2, "has shape [4, 3], but must have [4, 4]"},
      {Stacked().Add("out_proj.weight", {4}), 2, "has shape [4], but must have two axes"},
      {Stacked().Add("out_proj.weight", {0, 0}), 2, "has width 0"},
      {Separate().Drop("q_proj_weight"), 2, "tensor \"q_proj_weight\" is missing"},
      {Separate().Drop("v_proj_weight"), 2, "tensor \"v_proj_weight\" is missing"},
      {Separate().Add("k_proj_weight", {3, 3}), 2, "has shape [3, 3], but must have [4, 3]"},
      {Separate().Add("v_proj_weight", {4, 0}), 2, "tensor \"v_proj_weight\" has no columns"},
  };
  for (const Row& row : rows) {
    TempDir dir;
    const auto layer = Load(dir, row.tensors, row.num_heads);
    ASSERT_FALSE(layer.ok()) << row.message;
    EXPECT_THAT(std::string(layer.status().message()), HasSubstr(row.message));
    EXPECT_THAT(std::string(layer.status().message()), HasSubstr("mha.safetensors"));
  }
}

}  // namespace
}  // namespace attend
