#include "core/weights/model_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/weights/source.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/weights/test_files.h"

namespace attend {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr auto kNoWindow = std::nullopt;

// Sizes of a decoder with 3 layers, and `more`.
std::string Decoder(absl::string_view model_type, absl::string_view more) {
  return absl::StrCat(R"({"model_type":")", model_type, R"(","hidden_size":24,)",
                      R"("num_attention_heads":4,"num_hidden_layers":3,)",
                      R"("num_key_value_heads":2)", more, "}");
}

// Without what Mistral, Qwen and Gemma need.
std::string Llama(absl::string_view more) {
  return Decoder("llama", more);
}

absl::StatusOr<ModelConfig> Read(const std::string& text) {
  const absl::StatusOr<Json> json = ParseJson(text, "config.json");
  if (!json.ok()) return json.status();
  const ConfigReader config(*json, "config.json");
  const auto family = ReadModelFamily(config);
  if (!family.ok()) return family.status();
  return ReadModelConfig(config, **family);
}

ModelConfig Accepted(const std::string& text) {
  const auto model = Read(text);
  EXPECT_TRUE(model.ok()) << model.status() << " of " << text;
  return model.ok() ? *model : ModelConfig();
}

TEST(ModelConfig, TakesSizesOfHeadsFromTheirKeysElseFromTheWidth) {
  ModelConfig model = Accepted(Llama(""));
  EXPECT_EQ(model.num_kv_heads, 2);
  EXPECT_EQ(model.head_dim, 6);
  EXPECT_EQ(model.scale, 1.0 / std::sqrt(6.0));
  EXPECT_FALSE(model.query_key_value_bias || model.output_bias);
  model = Accepted(Llama(R"(,"head_dim":10,"attention_bias":true)"));
  EXPECT_EQ(model.head_dim, 10);
  EXPECT_TRUE(model.query_key_value_bias && model.output_bias);
  model = Accepted(Llama(R"(,"head_dim":null)"));
  EXPECT_EQ(model.head_dim, 6);
  model = Accepted(
      R"({"model_type":"llama","hidden_size":24,"num_attention_heads":4,"num_hidden_layers":1})");
  EXPECT_EQ(model.num_kv_heads, 4);
}

TEST(ModelConfig, ReadsTheRotaryEmbeddingOfOldAndNewFiles) {
  for (const char* text : {R"(,"rope_theta":500.0,"rope_scaling":{"type":"linear","factor":2})",
                           R"(,"rope_parameters":{"rope_type":"linear","factor":2.0,)"
                           R"("rope_theta":500})"}) {
    const ModelConfig model = Accepted(Llama(text));
    ASSERT_TRUE(model.rotary.has_value());
    EXPECT_EQ(model.rotary->width, 6);
    EXPECT_EQ(model.rotary->theta, 500.0);
    EXPECT_EQ(model.rotary->scaling, RotaryConfig::Scaling::kLinear);
    EXPECT_EQ(model.rotary->factor, 2.0);
    EXPECT_EQ(model.rotary->layout, RotaryConfig::Layout::kHalfSplit);
  }
  EXPECT_EQ(Accepted(Llama("")).rotary->theta, 10000.0);
  EXPECT_EQ(Accepted(Llama(R"(,"rope_scaling":null)")).rotary->scaling,
            RotaryConfig::Scaling::kNone);
}

TEST(ModelConfig, TurnsAPartOfEachHeadWhereTheFamilyDoes) {
  const std::string phi = R"({"model_type":"phi","hidden_size":40,"num_attention_heads":4,)"
                          R"("num_hidden_layers":1)";
  EXPECT_EQ(Accepted(phi + R"(,"partial_rotary_factor":0.4})").rotary->width, 4);
  EXPECT_THAT(std::string(Read(phi + "}").status().message()),
              HasSubstr("turns 5 of the 10 features of a head"));
  const ModelConfig gptj =
      Accepted(R"({"model_type":"gptj","n_embd":40,"n_head":4,"n_layer":1,"rotary_dim":6})");
  EXPECT_EQ(gptj.rotary->width, 6);
  EXPECT_EQ(gptj.rotary->layout, RotaryConfig::Layout::kInterleaved);
}

TEST(ModelConfig, GivesTheWindowToTheLayersThatHaveIt) {
  EXPECT_THAT(Accepted(Decoder("mistral", R"(,"sliding_window":8)")).window_left,
              ElementsAre(7, 7, 7));
  EXPECT_THAT(Accepted(Decoder("mistral", R"(,"sliding_window":null)")).window_left, ElementsAre());
  const std::string gemma =
      R"(,"head_dim":6,"query_pre_attn_scalar":6,"attn_logit_softcapping":null,"sliding_window":8)";
  EXPECT_THAT(Accepted(Decoder("gemma2", gemma)).window_left, ElementsAre(7, kNoWindow, 7));
  EXPECT_THAT(Accepted(Decoder("gemma2", gemma + R"(,"layer_types":["full_attention",)"
                                                 R"("full_attention","sliding_attention"])"))
                  .window_left,
              ElementsAre(kNoWindow, kNoWindow, 7));
  const std::string qwen = R"(,"sliding_window":8,"max_window_layers":2)";
  EXPECT_THAT(Accepted(Decoder("qwen2", qwen)).window_left, ElementsAre());
  EXPECT_THAT(Accepted(Decoder("qwen2", qwen + R"(,"use_sliding_window":true)")).window_left,
              ElementsAre(kNoWindow, kNoWindow, 7));
}

TEST(ModelConfig, ScalesAndCapsScoresAsTheFamilySays) {
  const ModelConfig gemma = Accepted(
      Decoder("gemma2", R"(,"head_dim":6,"query_pre_attn_scalar":16,"attn_logit_softcapping":50.0,)"
                        R"("sliding_window":8)"));
  EXPECT_EQ(gemma.scale, 0.25);
  EXPECT_EQ(gemma.softcap, 50.0);
  const std::string gpt2 = R"({"model_type":"gpt2","n_embd":16,"n_head":4,"n_layer":1)";
  EXPECT_EQ(Accepted(gpt2 + "}").scale, 0.5);
  EXPECT_EQ(Accepted(gpt2 + R"(,"scale_attn_weights":false})").scale, 1.0);
  EXPECT_TRUE(Accepted(gpt2 + R"(,"scale_attn_by_inverse_layer_idx":true})").scale_by_layer);
}

TEST(ModelConfig, KnowsTheStacksOfT5) {
  const std::string t5 = R"({"model_type":"t5","d_model":24,"d_kv":10,"num_heads":3,)"
                         R"("num_layers":2)";
  ModelConfig model = Accepted(t5 + R"(,"num_decoder_layers":4})");
  EXPECT_THAT(model.num_layers, ElementsAre(2, 4, 4));
  EXPECT_EQ(model.scale, 1.0);
  EXPECT_EQ(model.head_dim, 10);
  EXPECT_EQ(model.relative_buckets, 32);
  EXPECT_EQ(model.relative_max_distance, 128);
  model = Accepted(t5 + R"(,"num_decoder_layers":null,"relative_attention_num_buckets":8})");
  EXPECT_THAT(model.num_layers, ElementsAre(2, 2, 2));
  EXPECT_EQ(model.relative_buckets, 8);
}

TEST(ModelConfig, RefusesWhatALayerDoesNotHave) {
  const std::string gemma =
      R"(,"head_dim":6,"query_pre_attn_scalar":6,"attn_logit_softcapping":50.0)";
  struct Row {
    std::string config, message;
  };
  const Row rows[] = {
      {Llama(R"(,"rope_scaling":{"type":"yarn","factor":2})"),
       R"("rope_scaling": type "yarn" is not supported; only default, linear and llama3 are)"},
      {Llama(R"(,"rope_scaling":{"rope_type":"dynamic","factor":2})"), R"(type "dynamic" is not)"},
      {Llama(R"(,"rope_scaling":{"rope_type":"linear","type":"llama3"})"),
       R"("type" is "llama3", but "rope_type" is "linear")"},
      {Llama(R"(,"rope_scaling":{"type":"linear"})"), R"("factor" is not a number above 0)"},
      {Llama(R"(,"rope_scaling":{"type":"linear","factor":"2"})"), R"("factor" is not a number)"},
      {Llama(R"(,"rope_scaling":{"type":"linear","factor":2,"beta_fast":3})"),
       R"("rope_scaling": key "beta_fast" is not known here)"},
      {Llama(R"(,"rope_scaling":{"factor":2})"), R"(key "factor" is not known here)"},
      {Llama(R"(,"rope_scaling":"linear")"), R"("rope_scaling" is not an object)"},
      {Llama(R"(,"rope_scaling":{"type":"default"},"rope_parameters":{"rope_type":"default"})"),
       R"("rope_scaling" is there beside "rope_parameters")"},
      {Llama(R"(,"rope_parameters":{"full_attention":{"rope_type":"default"}})"),
       R"("rope_parameters": key "full_attention" is not known here)"},
      {Llama(R"(,"rope_theta":100,"rope_parameters":{"rope_theta":200})"),
       R"("rope_theta" is 200 here, but 100 outside)"},
      {Llama(R"(,"rope_theta":-1)"), R"("rope_theta" is not a number above 0)"},
      {Llama(R"(,"rope_scaling":{"type":"llama3","factor":2,"low_freq_factor":1,)"
             R"("high_freq_factor":4})"),
       R"("original_max_position_embeddings" is not an integer)"},
      {Llama(R"(,"rope_scaling":{"type":"llama3","factor":2,"low_freq_factor":4,)"
             R"("high_freq_factor":4,"original_max_position_embeddings":64})"),
       R"("high_freq_factor" is not above "low_freq_factor")"},
      {Llama(R"(,"partial_rotary_factor":0.5)"),
       R"("partial_rotary_factor" is 0.5; models of type "llama" turn all features)"},
      {Llama(R"(,"head_dim":7)"), "turns 7 of the 7 features of a head"},
      {Llama(R"(,"head_dim":0)"), R"("head_dim" is not an integer from 1)"},
      {Llama(R"(,"attention_bias":1)"), R"("attention_bias" is not true or false)"},
      {Llama(R"(,"sliding_window":8)"), R"("sliding_window" is set; models of type "llama")"},
      {Llama(R"(,"pruned_heads":{"0":[1]})"), R"("pruned_heads" is not supported)"},
      {R"({"model_type":"llama","hidden_size":24,"num_attention_heads":4,"num_hidden_layers":1,)"
       R"("num_key_value_heads":3})",
       R"("num_attention_heads" 4 is not a multiple of "num_key_value_heads" 3)"},
      {Decoder("mistral", ""), R"("sliding_window" is missing)"},
      {Decoder("mistral", R"(,"sliding_window":0)"), R"("sliding_window" is not an integer)"},
      {Decoder("mistral", R"(,"sliding_window":8,"layer_types":["sliding_attention",)"
                          R"("full_attention","sliding_attention"])"),
       R"("layer_types" has layers without the window)"},
      {Decoder("qwen2", R"(,"use_sliding_window":true,"max_window_layers":1)"),
       R"(there is no "sliding_window" in use)"},
      {Decoder("qwen2", R"(,"use_sliding_window":true,"sliding_window":8)"),
       R"("max_window_layers" is not an integer)"},
      {Decoder("qwen2", R"(,"layer_types":["full_attention","full_attention",)"
                        R"("sliding_attention"])"),
       R"(there is no "sliding_window" in use)"},
      {Decoder("qwen2", R"(,"layer_types":["full_attention"])"),
       R"("layer_types" is not a list of 3 types)"},
      {Decoder("qwen2", R"(,"layer_types":["full_attention","full_attention","chunked"])"),
       R"("layer_types": "chunked" is neither full_attention nor sliding_attention)"},
      {Decoder("qwen2", R"(,"use_mrope":true)"), R"("use_mrope" is not supported)"},
      {Decoder("qwen3", R"(,"rms_norm_eps":1e-6)"), R"("head_dim" is not an integer)"},
      {Decoder("qwen3", R"(,"head_dim":6)"), R"("rms_norm_eps" is not a number above 0)"},
      {Decoder("gemma2", R"(,"head_dim":6,"query_pre_attn_scalar":6)"),
       R"("attn_logit_softcapping" is missing)"},
      {Decoder("gemma2", R"(,"head_dim":6,"attn_logit_softcapping":1)"),
       R"("query_pre_attn_scalar" is not a number above 0)"},
      {Decoder("gemma2", gemma), R"("sliding_window" is missing)"},
      {Decoder("gemma2", gemma + R"(,"use_bidirectional_attention":true)"),
       R"("use_bidirectional_attention" is not supported)"},
      {R"({"model_type":"gpt2","n_embd":16,"n_head":4,"n_layer":1,"add_cross_attention":true})",
       R"("add_cross_attention" is not supported)"},
  };
  for (const Row& row : rows) {
    const auto model = Read(row.config);
    EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument) << row.config;
    EXPECT_THAT(std::string(model.status().message()),
                AllOf(StartsWith("config.json: "), HasSubstr(row.message)));
  }
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
    const auto source = OpenModel({.name = "m", .path = dir_.path()});
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

TEST_F(DecoderFiles, MayNotHoldABiasThatTheConfigDoesNotHave) {
  const std::string bias = "model.layers.0.self_attn.v_proj.bias";
  EXPECT_THAT(std::string(Read(Tensors().Add(bias, {4})).status().message()),
              AllOf(HasSubstr(bias + "\": is there, but by "), HasSubstr("has no bias")));
}

TEST_F(DecoderFiles, HaveKeysOfAsManyHeadsAsTheConfigSays) {
  const std::string key = "model.layers.0.self_attn.k_proj.weight";
  EXPECT_THAT(std::string(Read(Tensors().Add(key, {8, 8})).status().message()),
              HasSubstr(key + "\": shape [8, 8], must be [4, 8]"));
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

  // With half of it: all of it is needed.
  add("decoder.block.0.layer.0.SelfAttention.");
  dir.Write("model.safetensors", set.Bytes());
  layers = LoadModel({.name = "m", .path = dir.path()});
  EXPECT_THAT(std::string(layers.status().message()),
              HasSubstr("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight\": "
                        "is missing"));
  set.Add("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", {4, 2});
  dir.Write("model.safetensors", set.Bytes());
  layers = LoadModel({.name = "m", .path = dir.path()});
  EXPECT_THAT(std::string(layers.status().message()),
              HasSubstr("decoder.block.0.layer.1.EncDecAttention.q.weight\": is missing"));
}

}  // namespace
}  // namespace attend
