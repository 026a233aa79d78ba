// SPDX-License-Identifier: Apache-2.0

// Batch invariance through the engine: a request's answer has the same bits alone and inside any
// batch. Each subject, prefill and decode, runs alone with one worker and then inside a hundred
// batches of random company with three workers, for the operator and for layers in each compute
// type. CMakeLists.txt runs it on each SIMD path, and the image's build runs it with the other
// version of oneDNN.

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/simd/cpu.h"
#include "gtest/gtest.h"
#include "tests/core/engine/held_engine.h"
#include "tests/core/engine/test_requests.h"

namespace attend {
namespace {

using Mha = MultiHeadAttentionRequest;
using Sdpa = ScaledDotProductAttentionRequest;

constexpr unsigned kSeed = 90125;
constexpr int kBatches = 100;
constexpr int64_t kEmbed = 160, kHeads = 6, kKvHeads = 2, kHeadDim = 32;

class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}
  bool Coin(double probability = 0.5) { return std::bernoulli_distribution(probability)(random_); }
  int64_t In(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  DataType Type() {
    return Coin(0.4) ? DataType::kFloat32 : Coin(0.7) ? DataType::kBFloat16 : DataType::kFloat16;
  }
  Tensor Normal(Shape shape, DataType type) {
    return RandomTensor(random_, std::move(shape), type);
  }
  std::mt19937& random() { return random_; }

 private:
  std::mt19937 random_;
};

// The kind of a request's lengths; all sequences of a decode have few queries.
struct Lengths {
  std::vector<int64_t> query, key;
  int64_t longest_query() const { return *std::max_element(query.begin(), query.end()); }
  int64_t longest_key() const { return *std::max_element(key.begin(), key.end()); }
};

Lengths DrawLengths(Draw& draw, bool decode, int64_t sequences) {
  Lengths lengths;
  for (int64_t i = 0; i < sequences; ++i) {
    lengths.query.push_back(decode ? draw.In(1, 4) : draw.In(5, 140));
    lengths.key.push_back(decode || draw.Coin(0.3) ? draw.In(0, 300) : lengths.query.back());
  }
  return lengths;
}

// Draws any options, with tensors [B, H, Lq, Lk] of which some axes are broadcast.
AttentionOptions DrawOptions(Draw& draw, const Lengths& lengths, int64_t heads) {
  AttentionOptions options;
  const auto sequences = static_cast<int64_t>(lengths.query.size());
  const auto shape = [&] {
    return Shape{draw.Coin() ? sequences : 1, draw.Coin() ? heads : 1,
                 draw.Coin() ? lengths.longest_query() : 1, lengths.longest_key()};
  };
  options.causal = draw.Coin();
  options.alignment = draw.Coin() ? Alignment::kStart : Alignment::kEnd;
  if (draw.Coin(0.2)) options.window_left = draw.In(0, 50);
  if (draw.Coin(0.2)) options.window_right = draw.In(0, 50);
  if (draw.Coin(0.2)) options.softcap = 2.0f;
  if (draw.Coin(0.2)) options.scale = 0.4f;
  if (draw.Coin(0.25)) options.bias = draw.Normal(shape(), draw.Type());
  if (draw.Coin(0.25)) {
    options.mask = Tensor(DataType::kBool, shape());
    for (size_t i = 0; i < options.mask->byte_size(); ++i) {
      options.mask->data()[i] = std::byte{draw.Coin(0.8)};
    }
  }
  if (draw.Coin(0.2)) options.alibi_slopes = draw.Normal({heads}, DataType::kFloat32);
  if (draw.Coin(0.2)) options.sinks.assign(static_cast<size_t>(heads), 0.25f);
  if (draw.Coin(0.1)) {
    for (int64_t h = 0; h < heads; ++h) {
      options.head_gates.push_back(static_cast<float>(draw.In(0, 2)));
    }
  }
  if (draw.Coin(0.2))
    options.weights = draw.Coin() ? WeightsOutput::kPerHead : WeightsOutput::kMean;
  options.log_sum_exp = draw.Coin(0.3);
  return options;
}

Request DrawOperator(Draw& draw, DataType type, bool decode) {
  const Lengths lengths = DrawLengths(draw, decode, draw.In(1, 3));
  const auto sequences = static_cast<int64_t>(lengths.query.size());
  const int64_t kv_heads = draw.In(1, 2), heads = kv_heads * draw.In(1, 4);
  const int64_t width = draw.Coin() ? 64 : draw.In(3, 90);
  Sdpa request;
  request.query = draw.Normal({sequences, lengths.longest_query(), heads, width}, type);
  request.key = draw.Normal({sequences, lengths.longest_key(), kv_heads, width}, type);
  request.value = draw.Normal({sequences, lengths.longest_key(), kv_heads, width}, type);
  request.query_lengths = lengths.query;
  request.key_lengths = lengths.key;
  request.options = DrawOptions(draw, lengths, heads);
  return request;
}

Request DrawLayer(Draw& draw, const std::string& layer, DataType type, bool decode) {
  Lengths lengths = DrawLengths(draw, decode, draw.In(1, 3));
  const auto sequences = static_cast<int64_t>(lengths.query.size());
  const bool self = !decode && draw.Coin(0.7);
  if (self) lengths.key = lengths.query;
  Mha request;
  request.layer = layer;
  request.query = draw.Normal({sequences, lengths.longest_query(), kEmbed}, type);
  request.query_lengths = lengths.query;
  if (!self) {
    request.key = draw.Normal({sequences, lengths.longest_key(), kEmbed}, type);
    request.key_lengths = lengths.key;
  }
  request.options = DrawOptions(draw, lengths, kHeads);
  return request;
}

void ExpectSameBits(const Tensor& want, const Tensor& got, const std::string& what) {
  ASSERT_EQ(want.byte_size(), got.byte_size()) << what;
  if (want.byte_size() == 0) return;
  EXPECT_EQ(std::memcmp(want.data(), got.data(), want.byte_size()), 0) << what;
}

void ExpectSameBits(const Response& want, const Response& got, const std::string& what) {
  ExpectSameBits(want.output, got.output, "output of " + what);
  ASSERT_EQ(want.weights.has_value(), got.weights.has_value());
  if (want.weights.has_value()) ExpectSameBits(*want.weights, *got.weights, "weights of " + what);
  ASSERT_EQ(want.log_sum_exp.has_value(), got.log_sum_exp.has_value());
  if (!want.log_sum_exp.has_value()) return;
  ExpectSameBits(*want.log_sum_exp, *got.log_sum_exp, "log-sum-exp of " + what);
}

template <typename DrawOne>
void ExpectSameBitsInAnyBatch(const LayerRegistry& layers, const DrawOne& draw_one) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Draw draw(kSeed);
  std::vector<Request> subjects;
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    for (const bool decode : {false, true, true}) {
      subjects.push_back(draw_one(draw, type, decode));
    }
  }
  HeldEngine one(1, layers), three(3, layers);  // responses must not outlive their engine
  std::vector<absl::StatusOr<Response>> alone;
  for (const Request& subject : subjects) {
    alone.push_back(Call(one.engine(), Copy(subject)));
    ASSERT_TRUE(alone.back().ok()) << alone.back().status();
    ASSERT_EQ(alone.back()->timing.batch_requests, 1);
  }
  for (int batch = 0; batch < kBatches && !testing::Test::HasFailure(); ++batch) {
    std::vector<Request> requests;
    std::vector<size_t> order;  // below subjects.size(): a subject, else company
    for (const Request& subject : subjects) requests.push_back(Copy(subject));
    for (int64_t n = draw.In(0, 5); n > 0; --n) {
      requests.push_back(draw_one(draw, draw.Type(), draw.Coin()));
    }
    for (size_t i = 0; i < requests.size(); ++i) order.push_back(i);
    std::shuffle(order.begin(), order.end(), draw.random());
    std::vector<Request> shuffled;
    for (const size_t i : order) shuffled.push_back(std::move(requests[i]));
    const auto answers = three.CallTogether(std::move(shuffled));
    for (size_t position = 0; position < order.size(); ++position) {
      const absl::StatusOr<Response>& got = answers[position];
      const size_t i = order[position];
      ASSERT_TRUE(got.ok()) << got.status();
      ASSERT_EQ(got->timing.batch_requests, static_cast<int64_t>(order.size()));
      if (i >= subjects.size()) continue;
      ExpectSameBits(*alone[i], *got,
                     "subject " + std::to_string(i) + " in batch " + std::to_string(batch));
    }
  }
}

TEST(BatchInvariance, OfTheOperator) {
  ExpectSameBitsInAnyBatch(LayerRegistry(), DrawOperator);
}

class BatchInvarianceOfLayers : public testing::TestWithParam<ComputeType> {
 protected:
  void Check(const std::function<void(LayerConfig&)>& change) {
    if (GetParam() == ComputeType::kBFloat16 && !GetCpuFeatures().avx512) {
      GTEST_SKIP() << "this CPU has no AVX-512";
    }
    LayerRegistry layers;
    ASSERT_TRUE(layers
                    .Add(MakeTestLayer("layer", kEmbed, kEmbed, kEmbed, kHeads, kKvHeads, kHeadDim,
                                       [&](LayerConfig& config) {
                                         config.compute = GetParam();
                                         change(config);
                                       }))
                    .ok());
    ExpectSameBitsInAnyBatch(layers, [](Draw& draw, DataType type, bool decode) {
      return DrawLayer(draw, "layer", type, decode);
    });
  }
};

TEST_P(BatchInvarianceOfLayers, Plain) {
  Check([](LayerConfig&) {});
}

TEST_P(BatchInvarianceOfLayers, WithEverySettingOfPosition) {
  Check([](LayerConfig& config) {
    config.query_key_norm = true;
    config.rotary.emplace().width = kHeadDim;
    config.relative_bias = RelativeBiasConfig{8, 20, true};
  });
}

INSTANTIATE_TEST_SUITE_P(ComputeTypes, BatchInvarianceOfLayers,
                         testing::Values(ComputeType::kFloat32, ComputeType::kBFloat16),
                         [](const auto& param) {
                           return param.param == ComputeType::kFloat32 ? "Float32" : "BFloat16";
                         });

}  // namespace
}  // namespace attend
