// SPDX-License-Identifier: Apache-2.0

// Each family against transformers: tests/conformance/make_family_goldens.py describes how the
// files were made.

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "core/layer/layer_batch.h"
#include "core/layer/relative_bias.h"
#include "core/weights/files/json.h"
#include "core/weights/files/safetensors.h"
#include "core/weights/load.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/matmul_from_environment.h"

namespace attend {
namespace {

const std::string kFamilies = ATTEND_FAMILY_GOLDENS;

Json ReadGolden(const std::string& model) {
  const std::string path = kFamilies + "/" + model + "/golden.json";
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  const auto json = ParseJson(text.str(), path);
  EXPECT_TRUE(json.ok()) << json.status();
  return *json;
}

// A tensor of golden.safetensors, named by one role of a call.
std::vector<float> ReadRole(const Safetensors& file, const Json& role) {
  const auto values = file.ReadFloat32(role.at("tensor").get<std::string>(),
                                       role.at("shape").get<std::vector<int64_t>>());
  EXPECT_TRUE(values.ok()) << values.status();
  return *values;
}

// The layer's answer to a call, with the layer's settings where the call has none.
std::vector<float> RunCall(const Layer& layer, const Json& call, const Safetensors& file) {
  const LayerConfig& config = layer.config();
  const std::vector<float> query = ReadRole(file, call.at("query"));
  const std::vector<float> key =
      call.contains("key") ? ReadRole(file, call.at("key")) : std::vector<float>();
  std::vector<float> output(query.size());
  LayerSequence sequence;
  sequence.query = reinterpret_cast<const std::byte*>(query.data());
  sequence.query_length = static_cast<int64_t>(query.size()) / config.embed_dim;
  sequence.key = key.empty() ? sequence.query : reinterpret_cast<const std::byte*>(key.data());
  sequence.key_length =
      key.empty() ? sequence.query_length : static_cast<int64_t>(key.size()) / config.embed_dim;
  sequence.value = sequence.key;
  sequence.output = reinterpret_cast<std::byte*>(output.data());
  sequence.query_offset = call.at("query_offset").get<int64_t>();
  sequence.key_source = key.empty() ? KeySource::kQueryRows : KeySource::kOwnRows;
  AttentionParams params;
  params.scale = config.scale;
  params.softcap = config.softcap;
  params.window_left = config.window_left;
  params.window_right = config.window_right;
  params.causal = call.at("causal").get<bool>();
  LayerItem item;
  item.params = &params;
  item.sequences = {sequence};
  const LayerItem* items[] = {&item};
  ExecutionContext context(2);
  LayerBatch(layer, items, context).Run();
  return output;
}

double Norm(const std::vector<float>& values) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares);
}

class FamilyGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(FamilyGolden, AgreesWithTransformers) {
  const std::string model = GetParam();
  const Json golden = ReadGolden(model);
  const auto file = Safetensors::Open(kFamilies + "/" + model + "/golden.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto layers =
      LoadModel({.name = "m", .path = kFamilies + "/" + model, .matmul = MatmulFromEnvironment()});
  ASSERT_TRUE(layers.ok()) << layers.status();
  size_t calls = 0;
  double worst = 0;
  for (const std::unique_ptr<const Layer>& layer : *layers) {
    for (const Json& call : golden.at("calls")) {
      if ("m/" + call.at("layer").get<std::string>() != layer->config().name) continue;
      const std::vector<float> expected = ReadRole(*file, call.at("output"));
      std::vector<float> output = RunCall(*layer, call, *file);
      for (size_t i = 0; i < output.size(); ++i) output[i] -= expected[i];
      const double error = Norm(output) / Norm(expected);
      EXPECT_LE(error, 1e-5) << call.dump();
      worst = std::max(worst, error);
      ++calls;
    }
  }
  EXPECT_EQ(calls, golden.at("calls").size());
  RecordProperty("worst_error", absl::StrCat(worst));
}

INSTANTIATE_TEST_SUITE_P(Models, FamilyGolden,
                         ::testing::Values("llama", "llama_linear", "llama3", "mistral", "qwen2",
                                           "qwen3", "gemma2", "gpt2", "gptj", "phi", "t5"),
                         [](const auto& row) { return std::string(row.param); });

TEST(FamilyGolden, SharesOutDistancesOnBucketsAsT5Does) {
  const Json golden = ReadGolden("t5");
  EXPECT_EQ(golden.at("buckets").size(), 8u);
  for (const Json& table : golden.at("buckets")) {
    const RelativeBiasConfig config{table.at("buckets").get<int64_t>(),
                                    table.at("max_distance").get<int64_t>(),
                                    table.at("bidirectional").get<bool>()};
    int64_t distance = table.at("first").get<int64_t>();
    for (const Json& bucket : table.at("values")) {
      EXPECT_EQ(internal::RelativeBias::Bucket(config, distance), bucket.get<int64_t>())
          << "distance " << distance << " of " << config.buckets << " buckets";
      ++distance;
    }
  }
}

}  // namespace
}  // namespace attend
