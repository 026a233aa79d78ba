#include <cmath>

#include "core/weights/families.h"
#include "core/weights/file.h"
#include "core/weights/source.h"
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
  const auto source = OpenModel(Spec(dir));
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
    const auto source = OpenModel(Spec(dir));
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
    // Every tensor went to its place: each starts at a thousand of its own.
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

// The others are in family_golden_test.cc.
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

TEST(Checkpoint, TellsProjectionsApartByName) {
  TempDir dir;
  dir.Write("config.json", Config(Bert()));
  dir.Write("model.safetensors", Tensors(Bert(), "").Bytes());
  const auto layer = (*OpenModel(Spec(dir)))->Read(0);
  ASSERT_TRUE(layer.ok()) << layer.status();
  // In order of name: embeddings 0; of layer 0 output.dense.{bias,weight} 1, 2,
  // self.key 3, 4, self.query 5, 6, self.value 7, 8.
  EXPECT_EQ(layer->weights.output_bias[0], 1000.0f);
  EXPECT_EQ(layer->weights.output_weight[1], 2001.0f);
  EXPECT_EQ(layer->weights.key_weight[0], 4000.0f);
  EXPECT_EQ(layer->weights.query_weight[0], 6000.0f);
  EXPECT_EQ(layer->weights.value_bias[5], 7005.0f);
}

TEST(Checkpoint, KeepsTheHeadsThatPruningLeft) {
  TempDir dir;
  dir.Write("config.json", Config(Bert(), R"(,"pruned_heads":{"1":[2,0]})"));
  TensorSet set = Tensors(Bert(), "bert.");
  for (const auto& projection : {Bert().query, Bert().key, Bert().value}) {
    const std::string name = absl::StrCat("bert.encoder.layer.1.", projection);
    set.Add(name + ".weight", {2, kWidth}).Add(name + ".bias", {2});
  }
  set.Add("bert.encoder.layer.1.attention.output.dense.weight", {kWidth, 2});
  dir.Write("model.safetensors", set.Bytes());
  const auto source = OpenModel(Spec(dir));
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->Read(0)->config.num_heads, 3);
  const auto layer = (*source)->Read(1);
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_EQ(layer->config.num_heads, 1);
  EXPECT_EQ(layer->config.num_kv_heads, 1);
  EXPECT_EQ(layer->config.head_dim, 2);
  EXPECT_THAT(layer->config.pruned_heads, ElementsAre(0, 2));
}

class ShardedCheckpoint : public ::testing::Test {
 protected:
  ShardedCheckpoint() {
    dir_.Write("config.json", Config(Bert()));
    std::vector<std::string> map;
    for (int layer = 0; layer < 2; ++layer) {
      TensorSet set;
      for (const auto& projection : {Bert().query, Bert().key, Bert().value, Bert().output}) {
        const std::string name = absl::StrCat("encoder.layer.", layer, ".", projection);
        set.Add(name + ".weight", {kWidth, kWidth}).Add(name + ".bias", {kWidth});
        for (const char* kind : {".weight", ".bias"}) {
          map.push_back(absl::StrCat("\"", name, kind, "\":\"", Shard(layer), "\""));
        }
      }
      dir_.Write(Shard(layer), set.Bytes());
    }
    index_ = absl::StrCat(R"({"metadata":{"total_size":1},"weight_map":{)", absl::StrJoin(map, ","),
                          "}}");
  }

  static std::string Shard(int i) { return absl::StrCat("model-", i, "-of-2.safetensors"); }
  std::string Digest(int i) { return *Sha256Hex(*File::Open(dir_.Path(Shard(i)))); }

  TempDir dir_;
  std::string index_;
};

TEST_F(ShardedCheckpoint, ReadsEachTensorFromItsShard) {
  dir_.Write("model.safetensors.index.json", index_);
  const auto source = OpenModel(Spec(dir_));
  ASSERT_TRUE(source.ok()) << source.status();
  for (int64_t i : {0, 1}) {
    const auto layer = (*source)->Read(i);
    ASSERT_TRUE(layer.ok()) << layer.status();
    EXPECT_EQ(layer->config.sha256, Sha256Hex(Digest(0) + Digest(1)));
  }
}

TEST_F(ShardedCheckpoint, RefusesAnIndexThatDoesNotFit) {
  const std::string index_path =
      dir_.Write("model.safetensors.index.json", R"({"weight_map":{"a":"../x.safetensors"}})");
  EXPECT_THAT(Refusal(dir_), AllOf(HasSubstr(index_path), HasSubstr("tensor \"a\": its file is")));
  dir_.Write("model.safetensors.index.json", R"({"weight_map":{"a":3}})");
  EXPECT_THAT(Refusal(dir_), HasSubstr("tensor \"a\": its file is"));
  dir_.Write("model.safetensors.index.json", R"({"weight_map":[]})");
  EXPECT_THAT(Refusal(dir_), HasSubstr("\"weight_map\" is not an object"));
  dir_.Write("model.safetensors.index.json", R"({"weight_map":{"a":"none.safetensors"}})");
  EXPECT_THAT(Refusal(dir_), HasSubstr("none.safetensors: cannot open"));
  dir_.Write("model.safetensors.index.json",
             absl::StrCat(R"({"weight_map":{"a":")", Shard(0), R"("}})"));
  EXPECT_THAT(Refusal(dir_), AllOf(HasSubstr(Shard(0) + ": tensor \"a\": is missing"),
                                   HasSubstr("index.json says it is here")));
}

TEST(Checkpoint, RefusesAConfigThatItDoesNotUnderstand) {
  struct Row {
    std::string config, message;
  };
  const Row rows[] = {
      {"[]", "not a JSON object"},
      {R"({"a":1,"a":1})", "key \"a\" is given twice"},
      {"{}", "\"model_type\" is missing; known are bert, camembert, distilbert"},
      {R"({"model_type":"bloom"})", "model_type \"bloom\" is not known; known are bert, "},
      {Config(Bert(), R"(,"position_embedding_type":"relative_key")"),
       "position_embedding_type \"relative_key\" changes attention scores"},
      {R"({"model_type":"bert","hidden_size":6,"num_attention_heads":3})",
       "\"num_hidden_layers\" is not an integer from 1"},
      {R"({"model_type":"bert","hidden_size":6.0,"num_attention_heads":3})",
       "\"hidden_size\" is not an integer from 1"},
      {R"({"model_type":"bert","hidden_size":7,"num_attention_heads":3,"num_hidden_layers":2})",
       "\"hidden_size\" 7 is not a multiple of \"num_attention_heads\" 3"},
      {Config(Bert(), R"(,"pruned_heads":[1])"), "\"pruned_heads\" is not an object"},
      {Config(Bert(), R"(,"pruned_heads":{"2":[1]})"), "\"2\" is not a layer"},
      {Config(Bert(), R"(,"pruned_heads":{"0":[3]})"), "not different heads below 3"},
      {Config(Bert(), R"(,"pruned_heads":{"0":[1,1]})"), "not different heads below 3"},
      {Config(Bert(), R"(,"pruned_heads":{"0":[0,1,2]})"), "leaves layer 0 without a head"},
  };
  for (const Row& row : rows) {
    TempDir dir;
    const std::string path = dir.Write("config.json", row.config);
    dir.Write("model.safetensors", Tensors(Bert(), "").Bytes());
    EXPECT_THAT(Refusal(dir), AllOf(HasSubstr(path), HasSubstr(row.message)));
  }
}

TEST(Checkpoint, RefusesTensorsThatDoNotFitTheConfig) {
  const std::string query = "encoder.layer.1.attention.self.query";
  struct Row {
    TensorSet tensors;
    std::string message;
  };
  const Row rows[] = {
      {TensorSet().Add("x", {1}),
       "tensor \"encoder.layer.0.attention.self.query.weight\": is missing, with and without "
       "prefix \"bert.\""},
      {Tensors(Bert(), "", 1), "tensor \"" + query + ".weight\": is missing"},
      {Tensors(Bert(), "", 3),
       "tensor \"encoder.layer.2.attention.self.query.weight\": is of a layer that"},
      {Tensors(Bert(), "").Drop(query + ".bias"), "tensor \"" + query + ".bias\": is missing"},
      {Tensors(Bert(), "").Add(query + ".weight", {kWidth, 5}),
       "tensor \"" + query + ".weight\": shape [6, 5], must be [6, 6]"},
  };
  for (const Row& row : rows) {
    TempDir dir;
    dir.Write("config.json", Config(Bert()));
    const std::string path = dir.Write("model.safetensors", row.tensors.Bytes());
    EXPECT_THAT(Refusal(dir), HasSubstr(path + ": " + row.message));
  }
}

TEST(Checkpoint, RefusesAHeadCountThatIsNotTheConfigs) {
  TempDir dir;
  dir.Write("config.json", Config(Bert()));
  dir.Write("model.safetensors", Tensors(Bert(), "").Bytes());
  ModelSpec spec = Spec(dir);
  spec.num_heads = 2;
  EXPECT_THAT(std::string(OpenModel(spec).status().message()),
              HasSubstr("has 3 heads, but num_heads=2 was given"));
  spec.num_heads = 3;
  EXPECT_TRUE(OpenModel(spec).ok());
}

TEST(Checkpoint, SaysWhatItLooksForInADirectoryWithoutWeights) {
  TempDir dir;
  EXPECT_THAT(Refusal(dir), HasSubstr("config.json: cannot open"));
  dir.Write("config.json", Config(Bert()));
  EXPECT_THAT(Refusal(dir), HasSubstr("holds neither model.safetensors nor"));
}

}  // namespace
}  // namespace attend
