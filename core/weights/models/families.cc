// SPDX-License-Identifier: Apache-2.0
#include "core/weights/models/families.h"

#include "absl/strings/str_join.h"

namespace attend {
namespace {

// The tensors' names are those that the model classes of Hugging Face transformers save
// (models/*/modeling_*.py); the keys are those that models/*/configuration_*.py read.

constexpr LayerStack kBertStack[] = {{"num_hidden_layers", "encoder.layer"}};
constexpr LayerStack kDistilBertStack[] = {{"n_layers", "transformer.layer"}};
constexpr LayerStack kDecoderStack[] = {{.num_layers = "num_hidden_layers",
                                         .blocks = "layers",
                                         .attention = "self_attn.",
                                         .decoder = true}};
constexpr LayerStack kGptStack[] = {
    {.num_layers = "n_layer", .blocks = "h", .attention = "attn.", .decoder = true}};
constexpr LayerStack kT5Stacks[] = {
    {.num_layers = "num_layers",
     .blocks = "encoder.block",
     .attention = "layer.0.SelfAttention.",
     .name = "encoder/",
     .title = "encoder",
     .relative = LayerStack::Relative::kBothWays},
    {.num_layers = "num_decoder_layers",
     .blocks = "decoder.block",
     .attention = "layer.0.SelfAttention.",
     .name = "decoder/",
     .title = "decoder",
     .decoder = true,
     .optional = true,
     .relative = LayerStack::Relative::kBackward,
     .num_layers_default = "num_layers"},
    {.num_layers = "num_decoder_layers",
     .blocks = "decoder.block",
     .attention = "layer.1.EncDecAttention.",
     .name = "decoder/",
     .suffix = "/cross",
     .title = "decoder",
     .optional = true,
     .num_layers_default = "num_layers"},
};

// RoBERTa and its descendants share the prefix "roberta.".
constexpr ModelFamily Bert(absl::string_view model_type, absl::string_view prefix) {
  return {.model_type = model_type,
          .hidden_size = "hidden_size",
          .num_heads = "num_attention_heads",
          .prefix = prefix,
          .stacks = kBertStack,
          .query = "attention.self.query",
          .key = "attention.self.key",
          .value = "attention.self.value",
          .output = "attention.output.dense",
          .decoder = "is_decoder",
          .prunable = true};
}

// Llama and the families that follow its naming.
constexpr ModelFamily Decoder(absl::string_view model_type, ModelFamily::Biases biases,
                              ModelFamily::Window window) {
  return {.model_type = model_type,
          .hidden_size = "hidden_size",
          .num_heads = "num_attention_heads",
          .prefix = "model.",
          .stacks = kDecoderStack,
          .query = "q_proj",
          .key = "k_proj",
          .value = "v_proj",
          .output = "o_proj",
          .num_kv_heads = "num_key_value_heads",
          .head_dim = "head_dim",
          .biases = biases,
          .rotary = ModelFamily::Rotary::kHalfSplit,
          .window = window};
}

constexpr ModelFamily Gemma2() {
  ModelFamily family =
      Decoder("gemma2", ModelFamily::Biases::kConfigured, ModelFamily::Window::kAlternating);
  family.head_dim_needed = true;
  family.scale = ModelFamily::Scale::kQueryPreAttentionScalar;
  family.softcap = "attn_logit_softcapping";
  return family;
}

constexpr ModelFamily Phi() {
  ModelFamily family = Decoder("phi", ModelFamily::Biases::kAll, ModelFamily::Window::kNone);
  family.output = "dense";
  family.head_dim = "";
  family.partial_rotary_factor = 0.5;
  return family;
}

constexpr ModelFamily Qwen3() {
  ModelFamily family =
      Decoder("qwen3", ModelFamily::Biases::kConfigured, ModelFamily::Window::kUpper);
  family.head_dim_needed = true;
  family.query_norm = "q_norm";
  family.key_norm = "k_norm";
  return family;
}

constexpr ModelFamily kFamilies[] = {
    Bert("bert", "bert."),
    Bert("camembert", "roberta."),
    {.model_type = "distilbert",
     .hidden_size = "dim",
     .num_heads = "n_heads",
     .prefix = "distilbert.",
     .stacks = kDistilBertStack,
     .query = "attention.q_lin",
     .key = "attention.k_lin",
     .value = "attention.v_lin",
     .output = "attention.out_lin",
     .prunable = true},
    Bert("electra", "electra."),
    Gemma2(),
    {.model_type = "gpt2",
     .hidden_size = "n_embd",
     .num_heads = "n_head",
     .prefix = "transformer.",
     .stacks = kGptStack,
     .query = "c_attn",
     .output = "c_proj",
     .scale = ModelFamily::Scale::kGpt2,
     .transposed = true},
    {.model_type = "gptj",
     .hidden_size = "n_embd",
     .num_heads = "n_head",
     .prefix = "transformer.",
     .stacks = kGptStack,
     .query = "q_proj",
     .key = "k_proj",
     .value = "v_proj",
     .output = "out_proj",
     .biases = ModelFamily::Biases::kNone,
     .rotary = ModelFamily::Rotary::kInterleaved,
     .rotary_width = "rotary_dim",
     .fixed_rotary = true},
    Decoder("llama", ModelFamily::Biases::kConfigured, ModelFamily::Window::kNone),
    Decoder("mistral", ModelFamily::Biases::kNone, ModelFamily::Window::kAll),
    Phi(),
    Decoder("qwen2", ModelFamily::Biases::kQueryKeyValue, ModelFamily::Window::kUpper),
    Qwen3(),
    Bert("roberta", "roberta."),
    {.model_type = "t5",
     .hidden_size = "d_model",
     .num_heads = "num_heads",
     .prefix = "transformer.",
     .stacks = kT5Stacks,
     .query = "q",
     .key = "k",
     .value = "v",
     .output = "o",
     .head_dim = "d_kv",
     .head_dim_needed = true,
     .biases = ModelFamily::Biases::kNone,
     .scale = ModelFamily::Scale::kOne},
    Bert("xlm-roberta", "roberta."),
};

}  // namespace

absl::Span<const ModelFamily> ModelFamilies() {
  return kFamilies;
}

const ModelFamily* FindModelFamily(absl::string_view model_type) {
  for (const ModelFamily& family : kFamilies) {
    if (family.model_type == model_type) return &family;
  }
  return nullptr;
}

std::string KnownModelTypes() {
  return absl::StrJoin(kFamilies, ", ", [](std::string* out, const ModelFamily& family) {
    out->append(family.model_type.data(), family.model_type.size());
  });
}

}  // namespace attend
