// SPDX-License-Identifier: Apache-2.0
#include "core/weights/models/model_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr auto kNoWindow = std::nullopt;

// A config with the sizes of a decoder of 3 layers, and `more`.
std::string Decoder(absl::string_view model_type, absl::string_view more) {
  return absl::StrCat(R"({"model_type":")", model_type, R"(","hidden_size":24,)",
                      R"("num_attention_heads":4,"num_hidden_layers":3,)",
                      R"("num_key_value_heads":2)", more, "}");
}

// Llama requires no key beside the sizes.
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
  EXPECT_EQ(model.rotary->width, 6);
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
      {Llama(R"(,"head_dim":0)"), R"("head_dim" is not an integer from 1)"},
      {Llama(R"(,"attention_bias":1)"), R"("attention_bias" is not true or false)"},
      {Llama(R"(,"sliding_window":8)"), R"("sliding_window" is set, but models of type "llama")"},
      {Llama(R"(,"pruned_heads":{"0":[1]})"), R"("pruned_heads" is not supported)"},
      {R"({"model_type":"llama","hidden_size":24,"num_attention_heads":4,"num_hidden_layers":1,)"
       R"("num_key_value_heads":3})",
       R"("num_attention_heads" 4 is not a multiple of "num_key_value_heads" 3)"},
      {Decoder("mistral", ""), R"("sliding_window" is missing)"},
      {Decoder("mistral", R"(,"sliding_window":0)"), R"("sliding_window" is not an integer)"},
      {Decoder("mistral", R"(,"sliding_window":8,"layer_types":["sliding_attention",)"
                          R"("full_attention","sliding_attention"])"),
       R"("layer_types" lists layers without a window)"},
      {Decoder("qwen2", R"(,"use_sliding_window":true,"max_window_layers":1)"),
       R"(but no "sliding_window" is in use)"},
      {Decoder("qwen2", R"(,"use_sliding_window":true,"sliding_window":8)"),
       R"("max_window_layers" is not an integer)"},
      {Decoder("qwen2", R"(,"layer_types":["full_attention","full_attention",)"
                        R"("sliding_attention"])"),
       R"(but no "sliding_window" is in use)"},
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

}  // namespace
}  // namespace attend
