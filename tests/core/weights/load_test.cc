// SPDX-License-Identifier: Apache-2.0
#include "core/weights/load.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/weights/test_files.h"

namespace attend {
namespace {

using ::testing::HasSubstr;

TEST(LoadModel, NamesTheLayersOfACheckpointByIndex) {
  TempDir dir;
  dir.Write("config.json", R"({"model_type":"distilbert","dim":8,"n_heads":2,"n_layers":2})");
  TensorSet set;
  for (const char* layer : {"0", "1"}) {
    for (const char* projection : {"q_lin", "k_lin", "v_lin", "out_lin"}) {
      const std::string name = absl::StrCat("transformer.layer.", layer, ".attention.", projection);
      set.Add(name + ".weight", {8, 8}).Add(name + ".bias", {8});
    }
  }
  dir.Write("model.safetensors", set.Bytes());
  const auto layers = LoadModel({.name = "d", .path = dir.path()});
  ASSERT_TRUE(layers.ok()) << layers.status();
  ASSERT_EQ(layers->size(), 2u);
  EXPECT_EQ((*layers)[0]->config().name, "d/0");
  EXPECT_EQ((*layers)[1]->config().name, "d/1");
  EXPECT_EQ((*layers)[1]->parameter_count(), 4 * (64 + 8));
  EXPECT_TRUE((*layers)[0]->has_output_bias());
}

TEST(LoadModel, NamesTheLayerOfATorchFileAsTheModel) {
  TempDir dir;
  const std::string path =
      dir.Write("mha.safetensors",
                TensorSet().Add("in_proj_weight", {24, 8}).Add("out_proj.weight", {8, 8}).Bytes());
  const auto layers = LoadModel({.name = "t", .path = path, .num_heads = 4});
  ASSERT_TRUE(layers.ok()) << layers.status();
  ASSERT_EQ(layers->size(), 1u);
  EXPECT_EQ((*layers)[0]->config().name, "t");
  EXPECT_EQ((*layers)[0]->config().head_dim, 2);
  EXPECT_FALSE((*layers)[0]->has_query_bias());
}

TEST(LoadModel, PassesOnWhyAFileWasRefused) {
  TempDir dir;
  const auto layers = LoadModel({.name = "t", .path = dir.Path("none"), .num_heads = 4});
  EXPECT_EQ(layers.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(layers.status().message()), HasSubstr(dir.Path("none")));
}

TEST(LoadModel, SaysHowToConvertAGguf) {
  TempDir dir;
  const std::string path = dir.Write("m.gguf", std::string("GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16));
  const auto layers = LoadModel({.name = "g", .path = path, .num_heads = 4});
  EXPECT_EQ(layers.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(layers.status().message()),
              HasSubstr("python client/examples/convert_gguf.py " + path + " DIRECTORY"));
}

TEST(MakeRandomLayer, GivesEveryProjectionABias) {
  const auto layer =
      MakeRandomLayer({.name = "r", .embed_dim = 8, .num_heads = 4, .num_kv_heads = 2});
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ((*layer)->config().name, "r");
  EXPECT_EQ((*layer)->parameter_count(), 64 + 8 + 2 * (32 + 4) + 64 + 8);
  EXPECT_TRUE((*layer)->has_key_bias());
}

}  // namespace
}  // namespace attend
