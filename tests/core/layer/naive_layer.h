#ifndef ATTEND_TESTS_CORE_LAYER_NAIVE_LAYER_H_
#define ATTEND_TESTS_CORE_LAYER_NAIVE_LAYER_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/layer/layer.h"

namespace attend {

// Multi-head attention written from its formula, in the arithmetic of T: in
// double the truth, in float the plain computation whose error is the measure.
template <typename T>
class NaiveLayer {
 public:
  NaiveLayer(const LayerConfig& config, const LayerWeights& weights) : c_(config), w_(weights) {}

  // query [Lq, E], key [Lk, key_dim], value [Lk, value_dim] -> [Lq, E].
  std::vector<T> Run(const std::vector<float>& query, const std::vector<float>& key,
                     const std::vector<float>& value, bool causal, int64_t offset,
                     const std::vector<float>& gates) const {
    const auto q = Project(std::vector<T>(query.begin(), query.end()), w_.query_weight,
                           w_.query_bias, c_.embed_dim);
    const auto k =
        Project(std::vector<T>(key.begin(), key.end()), w_.key_weight, w_.key_bias, c_.key_dim);
    const auto v = Project(std::vector<T>(value.begin(), value.end()), w_.value_weight,
                           w_.value_bias, c_.value_dim);
    const int64_t rows = static_cast<int64_t>(query.size()) / c_.embed_dim;
    const int64_t keys = static_cast<int64_t>(key.size()) / c_.key_dim;
    std::vector<T> context(rows * c_.num_heads * c_.value_head_dim);
    for (int64_t h = 0; h < c_.num_heads; ++h) {
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t end = causal ? std::min(keys, std::max<int64_t>(0, offset + i + 1)) : keys;
        Attend(q, k, v, h, i, end, gates.empty() ? T(1) : T(gates[h]), context);
      }
    }
    return Project(context, w_.output_weight, w_.output_bias, c_.num_heads * c_.value_head_dim);
  }

 private:
  static std::vector<T> Project(const std::vector<T>& x, const std::vector<float>& weight,
                                const std::vector<float>& bias, int64_t inputs) {
    const int64_t rows = static_cast<int64_t>(x.size()) / inputs;
    const int64_t outputs = static_cast<int64_t>(weight.size()) / inputs;
    std::vector<T> y(rows * outputs);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < outputs; ++o) {
        T sum = 0;
        for (int64_t i = 0; i < inputs; ++i) sum += x[r * inputs + i] * T(weight[o * inputs + i]);
        y[r * outputs + o] = bias.empty() ? sum : sum + T(bias[o]);
      }
    }
    return y;
  }

  void Attend(const std::vector<T>& q, const std::vector<T>& k, const std::vector<T>& v, int64_t h,
              int64_t i, int64_t end, T gate, std::vector<T>& context) const {
    if (end == 0 || gate == T(0)) return;
    const int64_t kv = h / (c_.num_heads / c_.num_kv_heads);
    std::vector<T> p(end);
    T max = 0, sum = 0;
    for (int64_t j = 0; j < end; ++j) {
      T dot = 0;
      for (int64_t d = 0; d < c_.head_dim; ++d) {
        dot += q[(i * c_.num_heads + h) * c_.head_dim + d] *
               k[(j * c_.num_kv_heads + kv) * c_.head_dim + d];
      }
      p[j] = dot * T(c_.scale);
      max = j == 0 ? p[j] : std::max(max, p[j]);
    }
    for (T& element : p) sum += element = std::exp(element - max);
    for (int64_t d = 0; d < c_.value_head_dim; ++d) {
      T out = 0;
      for (int64_t j = 0; j < end; ++j) {
        out += p[j] / sum * v[(j * c_.num_kv_heads + kv) * c_.value_head_dim + d];
      }
      context[(i * c_.num_heads + h) * c_.value_head_dim + d] = gate * out;
    }
  }

  const LayerConfig& c_;
  const LayerWeights& w_;
};

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_LAYER_NAIVE_LAYER_H_
