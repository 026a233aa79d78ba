// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_ENGINE_TEST_REQUESTS_H_
#define ATTEND_TESTS_CORE_ENGINE_TEST_REQUESTS_H_

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "core/engine/engine.h"
#include "core/layer/layer.h"
#include "core/layer/registry.h"
#include "core/tensor/convert.h"
#include "core/tensor/tensor.h"
#include "tests/support/matmul_from_environment.h"

namespace attend {

// Draws normal numbers, rounded to the type.
inline Tensor RandomTensor(std::mt19937& random, Shape shape, DataType type = DataType::kFloat32) {
  Tensor tensor(type, std::move(shape));
  const size_t count = tensor.byte_size() / ElementSize(type);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  if (count > 0) ConvertFromFloat(values.data(), type, tensor.data(), static_cast<int64_t>(count));
  return tensor;
}

inline Tensor Zeros(Shape shape, DataType type = DataType::kFloat32) {
  Tensor tensor(type, std::move(shape));
  if (tensor.byte_size() > 0) std::memset(tensor.data(), 0, tensor.byte_size());
  return tensor;
}

inline Tensor Copy(const Tensor& from) {
  Tensor tensor(from.type(), from.shape());
  if (from.byte_size() > 0) std::memcpy(tensor.data(), from.data(), from.byte_size());
  return tensor;
}

inline AttentionOptions Copy(const AttentionOptions& from) {
  AttentionOptions to;
  to.scale = from.scale;
  to.causal = from.causal;
  to.alignment = from.alignment;
  to.query_offsets = from.query_offsets;
  to.window_left = from.window_left;
  to.window_right = from.window_right;
  to.softcap = from.softcap;
  if (from.bias.has_value()) to.bias = Copy(*from.bias);
  if (from.mask.has_value()) to.mask = Copy(*from.mask);
  if (from.alibi_slopes.has_value()) to.alibi_slopes = Copy(*from.alibi_slopes);
  to.sinks = from.sinks;
  to.head_gates = from.head_gates;
  to.weights = from.weights;
  to.weights_stage = from.weights_stage;
  to.log_sum_exp = from.log_sum_exp;
  return to;
}

inline ScaledDotProductAttentionRequest Copy(const ScaledDotProductAttentionRequest& from) {
  ScaledDotProductAttentionRequest to;
  to.query = Copy(from.query);
  to.key = Copy(from.key);
  to.value = Copy(from.value);
  to.query_lengths = from.query_lengths;
  to.key_lengths = from.key_lengths;
  to.options = Copy(from.options);
  to.layout = from.layout;
  to.priority = from.priority;
  return to;
}

inline MultiHeadAttentionRequest Copy(const MultiHeadAttentionRequest& from) {
  MultiHeadAttentionRequest to;
  to.layer = from.layer;
  to.query = Copy(from.query);
  if (from.key.has_value()) to.key = Copy(*from.key);
  if (from.value.has_value()) to.value = Copy(*from.value);
  to.query_lengths = from.query_lengths;
  to.key_lengths = from.key_lengths;
  to.options = Copy(from.options);
  to.priority = from.priority;
  return to;
}

inline Request Copy(const Request& from) {
  return std::visit([](const auto& request) -> Request { return Copy(request); }, from);
}

inline std::unique_ptr<const Layer> MakeTestLayer(
    std::string name, int64_t embed, int64_t key, int64_t value, int64_t heads = 4,
    int64_t kv_heads = 2, int64_t head_dim = 8,
    const std::function<void(LayerConfig&)>& change = [](LayerConfig&) {}) {
  LayerConfig c;
  c.name = std::move(name);
  c.embed_dim = embed;
  c.key_dim = key;
  c.value_dim = value;
  c.num_heads = heads;
  c.num_kv_heads = kv_heads;
  c.head_dim = c.value_head_dim = head_dim;
  c.scale = 0.25f;
  c.sha256 = "sha of " + c.name;
  change(c);
  std::mt19937 random(99);
  std::normal_distribution<float> normal(0.0f, 0.2f);
  const auto values_of = [&](int64_t n) {
    std::vector<float> values(static_cast<size_t>(n));
    for (float& v : values) v = normal(random);
    return values;
  };
  LayerWeights w;
  w.query_weight = values_of(heads * head_dim * embed);
  w.query_bias = values_of(heads * head_dim);
  w.key_weight = values_of(kv_heads * head_dim * key);
  w.value_weight = values_of(kv_heads * head_dim * value);
  w.value_bias = values_of(kv_heads * head_dim);
  w.output_weight = values_of(embed * heads * head_dim);
  w.output_bias = values_of(embed);
  if (c.query_key_norm) w.query_norm = w.key_norm = values_of(head_dim);
  if (c.relative_bias.has_value()) w.relative_bias = values_of(c.relative_bias->buckets * heads);
  return *Layer::Create(WithMatmulFromEnvironment(c), w);
}

// Receives one answer and waits for it.
class Answer {
 public:
  Engine::Done Callback() {
    return [this](absl::StatusOr<Response> response) {
      MutexLock lock(mutex_);
      ++count_;
      response_ = std::move(response);
      answered_.NotifyAll();
    };
  }
  absl::StatusOr<Response>& Wait() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    MutexLock lock(mutex_);
    while (count_ == 0) answered_.Wait(mutex_);
    return response_;
  }
  int count() {
    MutexLock lock(mutex_);
    return count_;
  }

 private:
  Mutex mutex_;
  CondVar answered_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::StatusOr<Response> response_ ABSL_GUARDED_BY(mutex_) = absl::UnknownError("not answered");
};

// Submits a request and waits for its answer.
inline absl::StatusOr<Response> Call(Engine& engine, Request request) {
  Answer answer;
  engine.Submit(std::move(request), *engine.budget().Charge(1000), absl::InfiniteFuture(),
                answer.Callback());
  return std::move(answer.Wait());
}

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_ENGINE_TEST_REQUESTS_H_
