#include "core/weights/families.h"

#include "absl/strings/str_join.h"

namespace attend {
namespace {

// Names as the model classes of Hugging Face transformers (models/*/modeling_*.py)
// save them. RoBERTa and its descendants share one prefix.
constexpr ModelFamily Bert(absl::string_view model_type, absl::string_view prefix) {
  return {model_type,
          "hidden_size",
          "num_attention_heads",
          "num_hidden_layers",
          prefix,
          "encoder.layer",
          "attention.self.query",
          "attention.self.key",
          "attention.self.value",
          "attention.output.dense"};
}

constexpr ModelFamily kFamilies[] = {
    Bert("bert", "bert."),
    Bert("camembert", "roberta."),
    {"distilbert", "dim", "n_heads", "n_layers", "distilbert.", "transformer.layer",
     "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"},
    Bert("electra", "electra."),
    Bert("roberta", "roberta."),
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
