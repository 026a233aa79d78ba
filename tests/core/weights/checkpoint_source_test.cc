// SPDX-License-Identifier: Apache-2.0
#include "core/weights/checkpoint_source.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/weights/files/file.h"
#include "core/weights/load.h"
#include "core/weights/models/families.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/weights/test_files.h"

namespace attend {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kWidth = 6;  // 3 heads of 2

std::string Config(const ModelFamily& family, const std::string& more = "") {
  return absl::StrCat("{\"model_type\":\"", family.model_type, "\",\"", family.hidden_size,
                      "\":", kWidth, ",\"", family.num_heads, "\":3,\"",
                      family.stacks[0].num_layers, "\":2", more, "}");
}

TensorSet Tensors(const ModelFamily& family, absl::string_view prefix, int64_t num_layers = 2) {
  TensorSet set;
  set.Add(absl::StrCat(prefix, "embeddings.word_embeddings.weight"), {5, kWidth});
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    for (const auto& projection : {family.query, family.key, family.value, family.output}) {
      const std::string name =
          absl::StrCat(prefix, family.stacks[0].blocks, ".", layer, ".", projection);
      set.Add(name + ".weight", {kWidth, kWidth}).Add(name + ".bias", {kWidth});
    }
  }
  return set;
}

const ModelFamily& Bert() {
  return *FindModelFamily("bert");
}

ModelSpec Spec(const TempDir& dir) {
  ModelSpec spec;
  spec.name = "m";
  spec.path = dir.path();
  return spec;
}

std::string Refusal(const TempDir& dir) {
  const auto source = OpenCheckpoint(Spec(dir));
  if (!source.ok()) return std::string(source.status().message());
  for (int64_t i = 0; i < (*source)->num_layers(); ++i) {
    const auto layer = (*source)->Read(i);
    if (!layer.ok()) return std::string(layer.status().message());
  }
  return "accepted";
}

class EncoderFamily : public ::testing::TestWithParam<ModelFamily> {};

TEST_P(EncoderFamily, LoadsWithAndWithoutItsPrefix) {
  const ModelFamily& family = GetParam();
  for (const absl::string_view prefix : {absl::string_view(), family.prefix}) {
    TempDir dir;
    dir.Write("config.json", Config(family));
    const auto path = dir.Write("model.safetensors", Tensors(family, prefix).Bytes());
    const auto source = OpenCheckpoint(Spec(dir));
    ASSERT_TRUE(source.ok()) << source.status();
    ASSERT_EQ((*source)->num_layers(), 2);
    const auto layer = (*source)->Read(1);
    ASSERT_TRUE(layer.ok()) << layer.status();
    EXPECT_EQ(layer->config.name, "m/1");
    EXPECT_EQ(layer->config.embed_dim, kWidth);
    EXPECT_EQ(layer->config.key_dim, kWidth);
    EXPECT_EQ(layer->config.num_heads, 3);
    EXPECT_EQ(layer->config.num_kv_heads, 3);
    EXPECT_EQ(layer->config.head_dim, 2);
    EXPECT_EQ(layer->config.value_head_dim, 2);
    EXPECT_EQ(layer->config.scale, static_cast<float>(std::sqrt(0.5)));
    EXPECT_EQ(layer->config.sha256, *Sha256Hex(*File::Open(path)));
    EXPECT_THAT(layer->config.pruned_heads, ElementsAre());
    // Every tensor is in its place: the values of each start at a thousand of its own.
    const LayerWeights& weights = layer->weights;
    std::map<float, size_t> starts;
    for (const auto* tensor : {&weights.query_weight, &weights.query_bias, &weights.key_weight,
                               &weights.key_bias, &weights.value_weight, &weights.value_bias,
                               &weights.output_weight, &weights.output_bias}) {
      ASSERT_FALSE(tensor->empty());
      starts[tensor->front()] = tensor->size();
    }
    EXPECT_EQ(starts.size(), 8u);
    EXPECT_EQ(weights.query_weight.size(), 36u);
    EXPECT_EQ(weights.query_bias.size(), 6u);
  }
}

// family_golden_test.cc tests the other families.
std::vector<ModelFamily> EncoderFamilies() {
  std::vector<ModelFamily> families;
  for (const ModelFamily& family : ModelFamilies()) {
    if (family.prunable) families.push_back(family);
  }
  return families;
}

INSTANTIATE_TEST_SUITE_P(Table, EncoderFamily, ::testing::ValuesIn(EncoderFamilies()),
                         [](const auto& row) {
                           std::string name(row.param.model_type);
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(CheckpointSource, TellsProjectionsApartByName) {
  TempDir dir;
  dir.Write("config.json", Config(Bert()));
  dir.Write("model.safetensors", Tensors(Bert(), "").Bytes());
  const auto layer = (*OpenCheckpoint(Spec(dir)))->Read(0);
  ASSERT_TRUE(layer.ok()) << layer.status();
  // In order of name: embeddings 0; in layer 0 output.dense.{bias,weight} 1, 2, self.key 3, 4,
  // self.query 5, 6, self.value 7, 8.
  EXPECT_EQ(layer->weights.output_bias[0], 1000.0f);
  EXPECT_EQ(layer->weights.output_weight[1], 2001.0f);
  EXPECT_EQ(layer->weights.key_weight[0], 4000.0f);
  EXPECT_EQ(layer->weights.query_weight[0], 6000.0f);
  EXPECT_EQ(layer->weights.value_bias[5], 7005.0f);
}

TEST(CheckpointSource, KeepsTheHeadsThatPruningLeft) {
  TempDir dir;
  dir.Write("config.json", Config(Bert(), R"(,"pruned_heads":{"1":[2,0]})"));
  TensorSet set = Tensors(Bert(), "bert.");
  for (const auto& projection : {Bert().query, Bert().key, Bert().value}) {
    const std::string name = absl::StrCat("bert.encoder.layer.1.", projection);
    set.Add(name + ".weight", {2, kWidth}).Add(name + ".bias", {2});
  }
  set.Add("bert.encoder.layer.1.attention.output.dense.weight", {kWidth, 2});
  dir.Write("model.safetensors", set.Bytes());
  const auto source = OpenCheckpoint(Spec(dir));
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->Read(0)->config.num_heads, 3);
  const auto layer = (*source)->Read(1);
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->config.num_heads, 1);
  EXPECT_EQ(layer->config.num_kv_heads, 1);
  EXPECT_EQ(layer->config.head_dim, 2);
  EXPECT_THAT(layer->config.pruned_heads, ElementsAre(0, 2));
}

TEST(CheckpointSource, TakesAModelThatMayBeADecoderAsTheConfigSays) {
  TempDir dir;
  dir.Write("model.safetensors", Tensors(Bert(), "").Bytes());
  dir.Write("config.json", Config(Bert()));
  EXPECT_FALSE((*OpenCheckpoint(Spec(dir)))->Read(1)->config.place->decoder);
  dir.Write("config.json", Config(Bert(), R"(,"is_decoder":true)"));
  const auto layer = (*OpenCheckpoint(Spec(dir)))->Read(1);
  EXPECT_TRUE(layer->config.place->decoder);
  EXPECT_EQ(layer->config.place->index, 1);
  EXPECT_EQ(layer->config.place->count, 2);
}

TEST(CheckpointSource, RefusesAConfigThatItDoesNotUnderstand) {
  struct Row {
    std::string config, message;
  };
  const Row rows[] = {
      {R"({"a":1,"a":1})", "key \"a\" is given twice"},
      {"{}", "\"model_type\" is missing; the known types are bert, camembert, distilbert"},
      {R"({"model_type":"bloom"})",
       "model_type \"bloom\" is not known; the known types are bert, "},
      {Config(Bert(), R"(,"position_embedding_type":"relative_key")"),
       "\"position_embedding_type\" is \"relative_key\"; only \"absolute\" is supported"},
      {R"({"model_type":"bert","hidden_size":6,"num_attention_heads":3})",
       "\"num_hidden_layers\" is not an integer from 1"},
      {R"({"model_type":"bert","hidden_size":6.0,"num_attention_heads":3})",
       "\"hidden_size\" is not an integer from 1"},
      {R"({"model_type":"bert","hidden_size":7,"num_attention_heads":3,"num_hidden_layers":2})",
       "\"hidden_size\" 7 is not a multiple of \"num_attention_heads\" 3"},
      {Config(Bert(), R"(,"pruned_heads":[1])"), "\"pruned_heads\" is not an object"},
      {Config(Bert(), R"(,"pruned_heads":{"2":[1]})"), "\"2\" is not a layer"},
      {Config(Bert(), R"(,"pruned_heads":{"0":[3]})"), "does not list distinct heads below 3"},
      {Config(Bert(), R"(,"pruned_heads":{"0":[1,1]})"), "does not list distinct heads below 3"},
      {Config(Bert(), R"(,"pruned_heads":{"0":[0,1,2]})"), "leaves layer 0 without a head"},
  };
  for (const Row& row : rows) {
    TempDir dir;
    const std::string path = dir.Write("config.json", row.config);
    dir.Write("model.safetensors", Tensors(Bert(), "").Bytes());
    EXPECT_THAT(Refusal(dir), AllOf(HasSubstr(path), HasSubstr(row.message)));
  }
}

TEST(CheckpointSource, RefusesTensorsThatDoNotFitTheConfig) {
  const std::string query = "encoder.layer.1.attention.self.query";
  struct Row {
    TensorSet tensors;
    std::string message;
  };
  const Row rows[] = {
      {TensorSet().Add("x", {1}),
       "tensor \"encoder.layer.0.attention.self.query.weight\" is missing, with and without "
       "the prefix \"bert.\""},
      {Tensors(Bert(), "", 1), "tensor \"" + query + ".weight\" is missing"},
      {Tensors(Bert(), "", 3),
       "tensor \"encoder.layer.2.attention.self.query.weight\" belongs to a layer that"},
      {Tensors(Bert(), "").Drop(query + ".bias"), "tensor \"" + query + ".bias\" is missing"},
      {Tensors(Bert(), "").Add(query + ".weight", {kWidth, 5}),
       "tensor \"" + query + ".weight\" has shape [6, 5], but must have [6, 6]"},
  };
  for (const Row& row : rows) {
    TempDir dir;
    dir.Write("config.json", Config(Bert()));
    const std::string path = dir.Write("model.safetensors", row.tensors.Bytes());
    EXPECT_THAT(Refusal(dir), HasSubstr(path + ": " + row.message));
  }
}

TEST(CheckpointSource, RefusesAHeadCountThatIsNotTheConfigs) {
  TempDir dir;
  dir.Write("config.json", Config(Bert()));
  dir.Write("model.safetensors", Tensors(Bert(), "").Bytes());
  ModelSpec spec = Spec(dir);
  spec.num_heads = 2;
  EXPECT_THAT(std::string(OpenCheckpoint(spec).status().message()),
              HasSubstr("has 3 heads, but num_heads=2 was given"));
  spec.num_heads = 3;
  EXPECT_TRUE(OpenCheckpoint(spec).ok());
}

// Files of a model with one layer, its tensors changed by a test.
class DecoderFiles : public ::testing::Test {
 protected:
  TensorSet Tensors() const {
    TensorSet set;
    set.Add("model.layers.0.self_attn.q_proj.weight", {8, 8});
    set.Add("model.layers.0.self_attn.k_proj.weight", {4, 8});
    set.Add("model.layers.0.self_attn.v_proj.weight", {4, 8});
    set.Add("model.layers.0.self_attn.o_proj.weight", {8, 8});
    return set;
  }

  absl::StatusOr<LayerParameters> Read(const TensorSet& set) const {
    dir_.Write("config.json", R"({"model_type":"llama","hidden_size":8,"num_attention_heads":2,)"
                              R"("num_hidden_layers":1,"num_key_value_heads":1})");
    dir_.Write("model.safetensors", set.Bytes());
    const auto source = OpenCheckpoint({.name = "m", .path = dir_.path()});
    if (!source.ok()) return source.status();
    return (*source)->Read(0);
  }

  TempDir dir_;
};

TEST_F(DecoderFiles, LoadWithAndWithoutPrefix) {
  const auto layer = Read(Tensors());
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->config.name, "m/0");
  EXPECT_EQ(layer->config.num_kv_heads, 1);
  EXPECT_TRUE(layer->weights.query_bias.empty());
}

TEST_F(DecoderFiles, TellEachLayerItsPlaceInTheModel) {
  const auto layer = Read(Tensors());
  ASSERT_TRUE(layer.ok()) << layer.status();
  ASSERT_TRUE(layer->config.place.has_value());
  EXPECT_EQ(layer->config.place->model, "m");
  EXPECT_EQ(layer->config.place->family, "llama");
  EXPECT_EQ(layer->config.place->stack, "");
  EXPECT_EQ(layer->config.place->index, 0);
  EXPECT_EQ(layer->config.place->count, 1);
  EXPECT_TRUE(layer->config.place->decoder);
}

TEST_F(DecoderFiles, MayNotHoldABiasThatTheConfigDoesNotHave) {
  const std::string bias = "model.layers.0.self_attn.v_proj.bias";
  EXPECT_THAT(
      std::string(Read(Tensors().Add(bias, {4})).status().message()),
      AllOf(HasSubstr(bias + "\" must not exist: according to "), HasSubstr("has no bias")));
}

TEST_F(DecoderFiles, HaveKeysOfAsManyHeadsAsTheConfigSays) {
  const std::string key = "model.layers.0.self_attn.k_proj.weight";
  EXPECT_THAT(std::string(Read(Tensors().Add(key, {8, 8})).status().message()),
              HasSubstr(key + "\" has shape [8, 8], but must have [4, 8]"));
}

TEST(T5Files, MayLackTheDecoder) {
  TempDir dir;
  dir.Write("config.json", R"({"model_type":"t5","d_model":8,"d_kv":4,"num_heads":2,)"
                           R"("num_layers":1,"relative_attention_num_buckets":4,)"
                           R"("relative_attention_max_distance":8})");
  TensorSet set;
  const auto add = [&set](const std::string& attention) {
    for (const char* name : {"q", "k", "v", "o"}) set.Add(attention + name + ".weight", {8, 8});
  };
  add("encoder.block.0.layer.0.SelfAttention.");
  const std::string bias = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
  set.Add(bias, {4, 2});
  dir.Write("model.safetensors", set.Bytes());
  auto layers = LoadModel({.name = "m", .path = dir.path()});
  ASSERT_TRUE(layers.ok()) << layers.status();
  ASSERT_EQ(layers->size(), 1u);
  EXPECT_EQ((*layers)[0]->config().name, "m/encoder/0");
  EXPECT_TRUE((*layers)[0]->config().relative_bias->bidirectional);

  // A checkpoint with a part of the decoder must have all of it.
  add("decoder.block.0.layer.0.SelfAttention.");
  dir.Write("model.safetensors", set.Bytes());
  layers = LoadModel({.name = "m", .path = dir.path()});
  EXPECT_THAT(std::string(layers.status().message()),
              HasSubstr("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight\" "
                        "is missing"));
  set.Add("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", {4, 2});
  dir.Write("model.safetensors", set.Bytes());
  layers = LoadModel({.name = "m", .path = dir.path()});
  EXPECT_THAT(std::string(layers.status().message()),
              HasSubstr("decoder.block.0.layer.1.EncDecAttention.q.weight\" is missing"));
}

}  // namespace
}  // namespace attend
