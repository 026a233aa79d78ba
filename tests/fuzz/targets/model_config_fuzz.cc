// SPDX-License-Identifier: Apache-2.0

// A model's config.json. What is accepted must have sizes that layers can be made of.

#include "core/weights/files/json.h"
#include "core/weights/models/config_reader.h"
#include "core/weights/models/model_config.h"
#include "tests/fuzz/targets/fuzz_input.h"

namespace attend {
namespace {

void Check(absl::string_view text) {
  const absl::StatusOr<Json> json = ParseJson(text, "config.json");
  if (!json.ok() || !json->is_object()) return;
  const ConfigReader reader(*json, "config.json");
  const absl::StatusOr<const ModelFamily*> family = ReadModelFamily(reader);
  if (!family.ok()) return;
  const absl::StatusOr<ModelConfig> config = ReadModelConfig(reader, **family);
  if (!config.ok()) {
    Require(absl::IsInvalidArgument(config.status()), "a refusal is INVALID_ARGUMENT",
            config.status().ToString());
    return;
  }
  Require(config->hidden_size > 0 && config->num_heads > 0 && config->head_dim > 0,
          "sizes are positive");
  Require(config->num_kv_heads > 0 && config->num_heads % config->num_kv_heads == 0,
          "query heads divide evenly among key/value heads");
  Require(config->scale > 0 || config->scale < 0, "the scale is a number other than 0");
}

}  // namespace
}  // namespace attend

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  attend::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
