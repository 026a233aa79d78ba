// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_ENGINE_RANDOM_REQUESTS_H_
#define ATTEND_TESTS_CORE_ENGINE_RANDOM_REQUESTS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/engine/request.h"
#include "core/layer/layer.h"
#include "gtest/gtest.h"
#include "tests/core/engine/test_requests.h"

namespace attend {

// The widths of the layer that MakeRandomRequestsLayer makes and DrawLayer draws requests to.
inline constexpr int64_t kEmbed = 160, kHeads = 6, kKvHeads = 2, kHeadDim = 32;

inline std::unique_ptr<const Layer> MakeRandomRequestsLayer(
    const std::string& name, const std::function<void(LayerConfig&)>& change) {
  return MakeTestLayer(name, kEmbed, kEmbed, kEmbed, kHeads, kKvHeads, kHeadDim, change);
}

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

inline Lengths DrawLengths(Draw& draw, bool decode, int64_t sequences) {
  Lengths lengths;
  for (int64_t i = 0; i < sequences; ++i) {
    lengths.query.push_back(decode ? draw.In(1, 4) : draw.In(5, 140));
    lengths.key.push_back(decode || draw.Coin(0.3) ? draw.In(0, 300) : lengths.query.back());
  }
  return lengths;
}

// Draws any options, with tensors [B, H, Lq, Lk] of which some axes are broadcast.
inline AttentionOptions DrawOptions(Draw& draw, const Lengths& lengths, int64_t heads) {
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

inline Request DrawOperator(Draw& draw, DataType type, bool decode) {
  const Lengths lengths = DrawLengths(draw, decode, draw.In(1, 3));
  const auto sequences = static_cast<int64_t>(lengths.query.size());
  const int64_t kv_heads = draw.In(1, 2), heads = kv_heads * draw.In(1, 4);
  const int64_t width = draw.Coin() ? 64 : draw.In(3, 90);
  ScaledDotProductAttentionRequest request;
  request.query = draw.Normal({sequences, lengths.longest_query(), heads, width}, type);
  request.key = draw.Normal({sequences, lengths.longest_key(), kv_heads, width}, type);
  request.value = draw.Normal({sequences, lengths.longest_key(), kv_heads, width}, type);
  request.query_lengths = lengths.query;
  request.key_lengths = lengths.key;
  request.options = DrawOptions(draw, lengths, heads);
  return request;
}

inline Request DrawLayer(Draw& draw, const std::string& layer, DataType type, bool decode) {
  Lengths lengths = DrawLengths(draw, decode, draw.In(1, 3));
  const auto sequences = static_cast<int64_t>(lengths.query.size());
  const bool self = !decode && draw.Coin(0.7);
  if (self) lengths.key = lengths.query;
  MultiHeadAttentionRequest request;
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

inline void ExpectSameBits(const Tensor& want, const Tensor& got, const std::string& what) {
  ASSERT_EQ(want.byte_size(), got.byte_size()) << what;
  if (want.byte_size() == 0) return;
  EXPECT_EQ(std::memcmp(want.data(), got.data(), want.byte_size()), 0) << what;
}

inline void ExpectSameBits(const Response& want, const Response& got, const std::string& what) {
  ExpectSameBits(want.output, got.output, "output of " + what);
  ASSERT_EQ(want.weights.has_value(), got.weights.has_value());
  if (want.weights.has_value()) ExpectSameBits(*want.weights, *got.weights, "weights of " + what);
  ASSERT_EQ(want.log_sum_exp.has_value(), got.log_sum_exp.has_value());
  if (!want.log_sum_exp.has_value()) return;
  ExpectSameBits(*want.log_sum_exp, *got.log_sum_exp, "log-sum-exp of " + what);
}

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_ENGINE_RANDOM_REQUESTS_H_
