// SPDX-License-Identifier: Apache-2.0
#include "core/layer/layer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/layer/layer_batch.h"
#include "core/layer/registry.h"
#include "core/simd/cpu.h"
#include "core/tensor/convert.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/layer/naive_layer.h"
#include "tests/support/matmul_from_environment.h"

namespace attend {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kSeed = 7;

std::vector<float> Random(size_t n, float scale, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

LayerConfig Config(int64_t embed, int64_t heads, int64_t kv_heads, int64_t head_dim) {
  LayerConfig c;
  c.name = "layer";
  c.embed_dim = c.key_dim = c.value_dim = embed;
  c.num_heads = heads;
  c.num_kv_heads = kv_heads;
  c.head_dim = c.value_head_dim = head_dim;
  c.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  return c;
}

LayerWeights Weights(const LayerConfig& c, bool bias = true) {
  std::mt19937 random(kSeed);
  const auto matrix = [&](int64_t out, int64_t in) {
    return Random(out * in, 1.5f / std::sqrt(static_cast<float>(in)), random);
  };
  LayerWeights w;
  w.query_weight = matrix(c.num_heads * c.head_dim, c.embed_dim);
  w.key_weight = matrix(c.num_kv_heads * c.head_dim, c.key_dim);
  w.value_weight = matrix(c.num_kv_heads * c.value_head_dim, c.value_dim);
  w.output_weight = matrix(c.embed_dim, c.num_heads * c.value_head_dim);
  if (c.query_key_norm) {
    w.query_norm = Random(c.head_dim, 1.0f, random);
    w.key_norm = Random(c.head_dim, 1.0f, random);
  }
  if (c.relative_bias.has_value()) {
    w.relative_bias = Random(c.relative_bias->buckets * c.num_heads, 1.0f, random);
  }
  if (!bias) return w;
  w.query_bias = Random(c.num_heads * c.head_dim, 0.1f, random);
  w.key_bias = Random(c.num_kv_heads * c.head_dim, 0.1f, random);
  w.value_bias = Random(c.num_kv_heads * c.value_head_dim, 0.1f, random);
  w.output_bias = Random(c.embed_dim, 0.1f, random);
  return w;
}

// An item with its memory: one sequence for each pair of lengths.
struct Call {
  AttentionParams params;
  LayerItem item;
  std::vector<std::vector<float>> query, key, value;  // as float32, key empty: self
  std::vector<std::vector<std::byte>> query_bytes, key_bytes, value_bytes, output_bytes;

  Call(const LayerConfig& c, DataType type, std::vector<std::pair<int64_t, int64_t>> lengths,
       bool self, uint32_t seed) {
    std::mt19937 random(seed);
    item.type = type;
    params.scale = c.scale;
    item.params = &params;
    const auto store = [&](std::vector<float> values, auto& floats, auto& bytes) {
      auto& stored = bytes.emplace_back(values.size() * ElementSize(type));
      ConvertFromFloat(values.data(), type, stored.data(), static_cast<int64_t>(values.size()));
      ConvertToFloat(type, stored.data(), values.data(), static_cast<int64_t>(values.size()));
      floats.push_back(std::move(values));
    };
    for (const auto& [rows, keys] : lengths) {
      store(Random(rows * c.embed_dim, 1.0f, random), query, query_bytes);
      if (!self) {
        store(Random(keys * c.key_dim, 1.0f, random), key, key_bytes);
        store(Random(keys * c.value_dim, 1.0f, random), value, value_bytes);
      }
      output_bytes.emplace_back(rows * c.embed_dim * ElementSize(type), std::byte{0x5a});
      LayerSequence sequence;
      sequence.query_length = rows;
      sequence.key_length = keys;
      sequence.query = query_bytes.back().data();
      if (!self) {
        sequence.key_source = KeySource::kOwnRows;
        sequence.key = key_bytes.back().data();
        sequence.value = value_bytes.back().data();
      }
      sequence.output = output_bytes.back().data();
      item.sequences.push_back(sequence);
    }
  }
  Call(const Call&) = delete;

  std::vector<float> Output(size_t sequence) const {
    std::vector<float> values(output_bytes[sequence].size() / ElementSize(item.type));
    ConvertToFloat(item.type, output_bytes[sequence].data(), values.data(),
                   static_cast<int64_t>(values.size()));
    return values;
  }

  template <typename T>
  std::vector<T> Naive(const LayerConfig& c, const LayerWeights& w, size_t i) const {
    const bool self = key.empty();
    const bool bfloat16 = !std::is_same_v<T, double> && c.compute == ComputeType::kBFloat16;
    return NaiveLayer<T>(c, w, bfloat16)
        .Run(query[i], self ? query[i] : key[i], self ? query[i] : value[i], params.causal,
             item.sequences[i].query_offset, params.head_gates, item.sequences[i].bias);
  }
};

double Norm(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  return std::sqrt(sum);
}

template <typename T>
double Distance(const std::vector<double>& truth, const std::vector<T>& got) {
  std::vector<double> difference(truth.size());
  for (size_t i = 0; i < truth.size(); ++i) difference[i] = truth[i] - static_cast<double>(got[i]);
  return Norm(difference);
}

// Within twice the error of the plain computation in the same type, plus the rounding of the
// item's type. The statistic is the root of the sum of squares of a sequence's errors, against
// the formula in double.
void ExpectNearTruth(const LayerConfig& c, const LayerWeights& w, const Call& call) {
  for (size_t i = 0; i < call.item.sequences.size(); ++i) {
    const std::vector<double> truth = call.Naive<double>(c, w, i);
    double bound = 2 * Distance(truth, call.Naive<float>(c, w, i));
    if (call.item.type == DataType::kFloat16) bound += Norm(truth) * 0x1p-11;
    if (call.item.type == DataType::kBFloat16) bound += Norm(truth) * 0x1p-8;
    EXPECT_LE(Distance(truth, call.Output(i)), bound)
        << "sequence " << i << " of norm " << Norm(truth) << ", seed " << kSeed;
  }
}

std::unique_ptr<const Layer> Make(const LayerConfig& c, const LayerWeights& w) {
  auto layer = Layer::Create(WithMatmulFromEnvironment(c), w);
  EXPECT_TRUE(layer.ok()) << layer.status();
  return std::move(layer).value();
}

bool CanCompute(ComputeType type) {
  return type == ComputeType::kFloat32 || GetCpuFeatures().avx512;
}

class LayerTest : public ::testing::TestWithParam<ComputeType> {
 protected:
  void SetUp() override {
    if (!CanCompute(GetParam())) GTEST_SKIP() << "this CPU has no AVX-512";
  }
};

TEST_P(LayerTest, MatchesTheFormulaForSelfAttention) {
  ExecutionContext context(2);
  for (const auto& [embed, heads, kv_heads, head_dim] :
       {std::array<int64_t, 4>{96, 3, 3, 32}, {64, 4, 2, 16}, {37, 2, 1, 7}, {320, 1, 1, 320}}) {
    LayerConfig c = Config(embed, heads, kv_heads, head_dim);
    c.compute = GetParam();
    const LayerWeights w = Weights(c);
    const auto layer = Make(c, w);
    for (const DataType type : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16}) {
      Call call(c, type, {{1, 1}, {70, 70}, {0, 0}, {13, 13}}, true, kSeed);
      const LayerItem* items[] = {&call.item};
      LayerBatch(*layer, items, context).Run();
      ExpectNearTruth(c, w, call);
    }
  }
}

TEST_P(LayerTest, MatchesTheFormulaForCrossAttentionOfOtherWidths) {
  ExecutionContext context(2);
  LayerConfig c = Config(48, 4, 4, 12);
  c.key_dim = 20;
  c.value_dim = 31;
  c.value_head_dim = 9;
  c.compute = GetParam();
  const LayerWeights w = Weights(c, false);
  const auto layer = Make(c, w);
  Call call(c, DataType::kFloat32, {{5, 80}, {65, 2}, {3, 0}, {0, 3}}, false, kSeed);
  const LayerItem* items[] = {&call.item};
  LayerBatch(*layer, items, context).Run();
  ExpectNearTruth(c, w, call);
}

TEST_P(LayerTest, AppliesCausalOffsetsAndGates) {
  ExecutionContext context(2);
  LayerConfig c = Config(64, 4, 2, 16);
  c.compute = GetParam();
  const LayerWeights w = Weights(c);
  const auto layer = Make(c, w);
  Call call(c, DataType::kFloat32, {{9, 20}, {70, 70}}, false, kSeed);
  call.params.causal = true;
  call.item.sequences[0].query_offset = 11;
  call.item.sequences[1].query_offset = -3;
  call.params.head_gates = {1.0f, 0.0f, -0.5f, 2.0f};
  const LayerItem* items[] = {&call.item};
  LayerBatch(*layer, items, context).Run();
  ExpectNearTruth(c, w, call);
}

RotaryConfig Rotary(int64_t width) {
  RotaryConfig rotary;
  rotary.width = width;
  return rotary;
}

TEST_P(LayerTest, NormsAndTurnsQueriesAndKeysByPosition) {
  ExecutionContext context(2);
  for (const bool interleaved : {false, true}) {
    for (const bool norm : {false, true}) {
      LayerConfig c = Config(64, 4, 2, 22);
      c.compute = GetParam();
      c.query_key_norm = norm;
      c.rotary = Rotary(interleaved ? 22 : 14);
      if (interleaved) c.rotary->layout = RotaryConfig::Layout::kInterleaved;
      const LayerWeights w = Weights(c);
      const auto layer = Make(c, w);
      Call self(c, DataType::kFloat32, {{1, 1}, {70, 70}, {0, 0}, {13, 13}}, true, kSeed);
      Call cross(c, DataType::kFloat32, {{5, 80}, {65, 2}, {3, 0}}, false, kSeed);
      self.params.causal = true;
      self.item.sequences[3].query_offset = 7;
      cross.item.sequences[0].query_offset = 1000;
      cross.item.sequences[1].query_offset = -33;
      const LayerItem* items[] = {&self.item, &cross.item};
      LayerBatch(*layer, items, context).Run();
      ExpectNearTruth(c, w, self);
      ExpectNearTruth(c, w, cross);
    }
  }
}

TEST_P(LayerTest, AddsItsRelativeBias) {
  ExecutionContext context(2);
  for (const bool bidirectional : {false, true}) {
    LayerConfig c = Config(48, 3, 3, 16);
    c.compute = GetParam();
    c.relative_bias = RelativeBiasConfig{8, 20, bidirectional};
    const LayerWeights w = Weights(c);
    const auto layer = Make(c, w);
    Call self(c, DataType::kFloat32, {{1, 1}, {70, 70}, {0, 0}, {13, 13}}, true, kSeed);
    Call cross(c, DataType::kFloat32, {{5, 80}, {65, 2}, {3, 0}}, false, kSeed);
    self.params.causal = !bidirectional;
    cross.item.sequences[0].query_offset = 75;
    cross.item.sequences[1].query_offset = int64_t{1} << 40;
    const LayerItem* items[] = {&self.item, &cross.item};
    LayerBatch(*layer, items, context).Run();
    ExpectNearTruth(c, w, self);
    ExpectNearTruth(c, w, cross);
  }
}

// Working memory must not grow with Lq * Lk.
TEST_P(LayerTest, AddsTheBiasOfARequestToItsRelativeBias) {
  ExecutionContext context(2);
  LayerConfig c = Config(48, 3, 3, 16);
  c.compute = GetParam();
  c.relative_bias = RelativeBiasConfig{8, 20, true};
  const LayerWeights w = Weights(c);
  const auto layer = Make(c, w);
  std::mt19937 random(kSeed);
  const std::vector<float> full = Random(3 * 70 * 80, 1.0f, random);
  const auto* data = reinterpret_cast<const std::byte*>(full.data());
  std::vector<std::byte> row(80 * 2);
  ConvertFromFloat(full.data(), DataType::kBFloat16, row.data(), 80);
  for (const ScoreTerm& bias : {ScoreTerm{data, DataType::kFloat32, 70 * 80, 80, 1},
                                ScoreTerm{row.data(), DataType::kBFloat16, 0, 0, 1},
                                ScoreTerm{data, DataType::kFloat32, 1, 3, 0},
                                ScoreTerm{data, DataType::kFloat32, 1, 240, 3}}) {
    Call self(c, DataType::kFloat32, {{1, 1}, {70, 70}}, true, kSeed);
    Call cross(c, DataType::kFloat32, {{5, 80}}, false, kSeed);
    const auto working_bytes = [&] {
      return layer->WorkingBytes(self.item.sequences[1], KeySource::kQueryRows);
    };
    const int64_t without = working_bytes();
    for (Call* call : {&self, &cross}) {
      for (LayerSequence& sequence : call->item.sequences) sequence.bias = bias;
    }
    EXPECT_EQ(working_bytes(), without);
    const LayerItem* items[] = {&self.item, &cross.item};
    LayerBatch(*layer, items, context).Run();
    ExpectNearTruth(c, w, self);
    ExpectNearTruth(c, w, cross);
  }
}

// Company, order and number of workers change no bit.
void ExpectSameBitsInAnyCompany(const LayerConfig& c) {
  const LayerWeights w = Weights(c);
  const auto layer = Make(c, w);
  std::vector<std::unique_ptr<Call>> alone, together;
  const std::vector<int64_t> lengths = {1, 16, 3, 64, 65, 130, 7, 33, 128, 200, 2};
  for (auto* calls : {&alone, &together}) {
    for (size_t i = 0; i < lengths.size(); ++i) {
      const int64_t n = lengths[i];
      const bool self = i % 3 != 2;
      calls->push_back(std::make_unique<Call>(
          c, i % 2 == 0 ? DataType::kFloat32 : DataType::kBFloat16,
          std::vector<std::pair<int64_t, int64_t>>{{n, self ? n : n + 5}}, self, kSeed + i));
      calls->back()->params.causal = i % 2 == 0;
      calls->back()->item.sequences[0].query_offset = self ? 0 : 3 * static_cast<int64_t>(i);
    }
  }
  ExecutionContext one(1), three(3);
  for (const auto& call : alone) {
    const LayerItem* items[] = {&call->item};
    LayerBatch(*layer, items, one).Run();
  }
  for (int order = 0; order < 3; ++order) {
    std::vector<const LayerItem*> items;
    for (const auto& call : together) items.push_back(&call->item);
    if (order == 1) std::reverse(items.begin(), items.end());
    if (order == 2) items.erase(items.begin(), items.begin() + 4);
    LayerBatch(*layer, items, three).Run();
    for (size_t i = order == 2 ? 4 : 0; i < alone.size(); ++i) {
      EXPECT_EQ(alone[i]->output_bytes[0], together[i]->output_bytes[0])
          << "call " << i << " in order " << order << ", seed " << kSeed;
      std::fill(together[i]->output_bytes[0].begin(), together[i]->output_bytes[0].end(),
                std::byte{0});
    }
  }
}

TEST_P(LayerTest, GivesTheSameBitsInAnyCompany) {
  LayerConfig c = Config(192, 3, 3, 64);
  c.compute = GetParam();
  ExpectSameBitsInAnyCompany(c);
}

TEST_P(LayerTest, GivesTheSameBitsInAnyCompanyWithEverySettingOfPosition) {
  LayerConfig c = Config(96, 3, 1, 36);
  c.compute = GetParam();
  c.query_key_norm = true;
  c.rotary = Rotary(36);
  c.relative_bias = RelativeBiasConfig{8, 20, true};
  ExpectSameBitsInAnyCompany(c);
}

INSTANTIATE_TEST_SUITE_P(ComputeTypes, LayerTest,
                         ::testing::Values(ComputeType::kFloat32, ComputeType::kBFloat16),
                         [](const auto& param) {
                           return param.param == ComputeType::kFloat32 ? "Float32" : "BFloat16";
                         });

TEST(LayerCreate, RefusesSizesThatDoNotFit) {
  const LayerConfig c = Config(8, 2, 1, 4);
  LayerWeights w = Weights(c);
  w.key_weight.pop_back();
  const auto layer = Layer::Create(c, w);
  EXPECT_EQ(layer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(layer.status().message()), HasSubstr("key weight has 31 elements"));

  LayerConfig odd = Config(8, 3, 2, 4);
  EXPECT_EQ(Layer::Create(odd, Weights(odd)).status().code(), absl::StatusCode::kInvalidArgument);
  odd = Config(8, 2, 2, 4);
  odd.embed_dim = 0;
  EXPECT_EQ(Layer::Create(odd, Weights(c)).status().code(), absl::StatusCode::kInvalidArgument);
  odd = Config(8, int64_t{1} << 40, 1, int64_t{1} << 40);
  EXPECT_EQ(Layer::Create(odd, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(LayerCreate, RefusesSettingsOfPositionThatDoNotFit) {
  const auto refusal = [](auto change) {
    LayerConfig c = Config(8, 2, 1, 4);
    c.rotary = Rotary(4);
    c.relative_bias = RelativeBiasConfig{8, 20, true};
    c.query_key_norm = true;
    LayerWeights w = Weights(c);
    change(c, w);
    const auto layer = Layer::Create(c, w);
    EXPECT_EQ(layer.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(layer.status().message());
  };
  using C = LayerConfig;
  using W = LayerWeights;
  EXPECT_THAT(refusal([](C& c, W&) { c.rotary->width = 3; }), HasSubstr("rotary width is 3"));
  EXPECT_THAT(refusal([](C& c, W&) { c.rotary->width = 6; }), HasSubstr("in 2..4"));
  EXPECT_THAT(refusal([](C& c, W&) { c.rotary->theta = 0; }), HasSubstr("rotary theta is 0"));
  EXPECT_THAT(refusal([](C& c, W&) {
                c.rotary->scaling = RotaryConfig::Scaling::kLinear;
                c.rotary->factor = -2;
              }),
              HasSubstr("rotary factor is -2"));
  EXPECT_THAT(refusal([](C& c, W&) {
                c.rotary->scaling = RotaryConfig::Scaling::kLlama3;
                c.rotary->high_frequency_factor = 1;
              }),
              HasSubstr("frequency factors are 1 and 1"));
  EXPECT_THAT(refusal([](C& c, W&) {
                c.rotary->scaling = RotaryConfig::Scaling::kLlama3;
                c.rotary->original_max_position = 0;
              }),
              HasSubstr("original_max_position is 0"));
  EXPECT_THAT(refusal([](C& c, W&) { c.relative_bias->buckets = 7; }), HasSubstr("7 buckets"));
  EXPECT_THAT(refusal([](C& c, W&) { c.relative_bias->max_distance = 2; }),
              HasSubstr("max_distance 2"));
  EXPECT_THAT(refusal([](C& c, W&) { c.norm_epsilon = -1; }), HasSubstr("norm_epsilon is -1"));
  EXPECT_THAT(refusal([](C&, W& w) { w.key_norm.pop_back(); }),
              HasSubstr("key norm has 3 elements; the layer needs 4"));
  EXPECT_THAT(refusal([](C& c, W&) { c.query_key_norm = false; }),
              HasSubstr("query norm has 4 elements; the layer needs 0"));
  EXPECT_THAT(refusal([](C&, W& w) { w.relative_bias.clear(); }),
              HasSubstr("relative bias has 0 elements; the layer needs 16"));
}

TEST(LayerCreate, RefusesBFloat16WhereTheCpuCannotAndSaysWhy) {
  if (GetCpuFeatures().avx512) GTEST_SKIP() << "this CPU can";
  LayerConfig c = Config(8, 2, 1, 4);
  c.compute = ComputeType::kBFloat16;
  const auto layer = Layer::Create(c, Weights(c));
  EXPECT_EQ(layer.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(layer.status().message()), HasSubstr("AVX-512"));
}

TEST(Layer, TellsItsBiasesParametersAndCosts) {
  const LayerConfig c = Config(8, 2, 1, 4);
  const auto layer = Make(c, Weights(c, false));
  EXPECT_FALSE(layer->has_query_bias() || layer->has_output_bias());
  EXPECT_EQ(layer->parameter_count(), 64 + 32 + 32 + 64);
  const Call call(c, DataType::kFloat32, {{3, 3}}, true, kSeed);
  const LayerSequence& sequence = call.item.sequences[0];
  EXPECT_EQ(layer->Flops(call.params, sequence), 2.0 * 3 * 192 + 2.0 * 2 * 9 * 8);
  EXPECT_GT(layer->WorkingBytes(sequence, sequence.key_source), 3 * 8 * 4 * 4);
}

TEST(LayerRegistry, FindsByNameAndRefusesASecondOfThatName) {
  LayerRegistry registry;
  const LayerConfig c = Config(8, 2, 1, 4);
  EXPECT_TRUE(registry.Add(Make(c, Weights(c))).ok());
  EXPECT_EQ(registry.Add(Make(c, Weights(c))).code(), absl::StatusCode::kAlreadyExists);
  ASSERT_NE(registry.Find("layer"), nullptr);
  EXPECT_EQ(registry.Find("other"), nullptr);
  EXPECT_EQ(registry.layers().size(), 1u);
}

std::unique_ptr<const Layer> MakeNamed(const std::string& name, int64_t embed,
                                       const std::string& sha256) {
  LayerConfig c = Config(embed, 2, 1, 4);
  c.name = name;
  c.sha256 = sha256;
  return Make(c, Weights(c));
}

std::vector<std::unique_ptr<const Layer>> List(std::unique_ptr<const Layer> first,
                                               std::unique_ptr<const Layer> second) {
  std::vector<std::unique_ptr<const Layer>> layers;
  layers.push_back(std::move(first));
  layers.push_back(std::move(second));
  return layers;
}

TEST(LayerRegistry, KeepsAReplacedLayerForThoseWhoUseIt) {
  LayerRegistry registry;
  ASSERT_TRUE(registry.Add(MakeNamed("a", 8, "old")).ok());
  ASSERT_TRUE(registry.Add(MakeNamed("b", 8, "old")).ok());
  std::shared_ptr<const Layer> used = registry.Find("a");
  const std::weak_ptr<const Layer> old = used;
  ASSERT_TRUE(registry.Replace(List(MakeNamed("a", 8, "new"), MakeNamed("b", 8, "new"))).ok());
  EXPECT_EQ(used->config().sha256, "old");
  EXPECT_EQ(registry.Find("a")->config().sha256, "new");
  EXPECT_EQ(registry.layers().at("a").generation, 2);
  used.reset();
  EXPECT_TRUE(old.expired());
}

TEST(LayerRegistry, ReplacesAllOrNone) {
  LayerRegistry registry;
  ASSERT_TRUE(registry.Add(MakeNamed("a", 8, "old")).ok());
  ASSERT_TRUE(registry.Add(MakeNamed("b", 8, "old")).ok());
  const absl::Status wide =
      registry.Replace(List(MakeNamed("a", 8, "new"), MakeNamed("b", 12, "new")));
  EXPECT_EQ(wide.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(wide.message()), HasSubstr("layer b differs in its widths"));
  const absl::Status unknown =
      registry.Replace(List(MakeNamed("a", 8, "new"), MakeNamed("c", 8, "new")));
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("layer c is new"));
  for (const auto& [name, entry] : registry.layers()) {
    EXPECT_EQ(entry.layer->config().sha256, "old") << name;
    EXPECT_EQ(entry.generation, 1) << name;
  }
}

// Readers see both layers of one replacement, or none of them.
TEST(LayerRegistry, ReplacesAtOnceForReadersOnOtherThreads) {
  LayerRegistry registry;
  ASSERT_TRUE(registry.Add(MakeNamed("a", 8, "0")).ok());
  ASSERT_TRUE(registry.Add(MakeNamed("b", 8, "0")).ok());
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      do {
        const LayerRegistry::Layers layers = registry.layers();
        EXPECT_EQ(layers.at("a").layer->config().sha256, layers.at("b").layer->config().sha256);
        EXPECT_EQ(layers.at("a").generation, layers.at("b").generation);
        EXPECT_GT(registry.Find("a")->parameter_count(), 0);
      } while (!done);
    });
  }
  for (int i = 1; i <= 100; ++i) {
    const std::string sha256 = std::to_string(i);
    EXPECT_TRUE(registry.Replace(List(MakeNamed("a", 8, sha256), MakeNamed("b", 8, sha256))).ok());
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(registry.layers().at("b").generation, 101);
}

}  // namespace
}  // namespace attend
