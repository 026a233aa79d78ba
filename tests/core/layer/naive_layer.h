// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_LAYER_NAIVE_LAYER_H_
#define ATTEND_TESTS_CORE_LAYER_NAIVE_LAYER_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/layer/layer.h"
#include "core/tensor/convert.h"

namespace attend {

// Multi-head attention written from its formula, in the arithmetic of T: double is the truth,
// float the plain computation whose error is the measure. With `bfloat16`, inputs, weights, q,
// k, v, P and the outputs of heads are rounded to bfloat16, as a layer in that type may do; sums
// are in T.
template <typename T>
class NaiveLayer {
 public:
  NaiveLayer(const LayerConfig& config, const LayerWeights& weights, bool bfloat16)
      : c_(config), w_(weights), bfloat16_(bfloat16) {}

  // query [Lq, E], key [Lk, key_dim], value [Lk, value_dim] -> [Lq, E].
  std::vector<T> Run(const std::vector<float>& query, const std::vector<float>& key,
                     const std::vector<float>& value, bool causal, int64_t offset,
                     const std::vector<float>& gates, const ScoreTerm& bias) const {
    auto q = Project(std::vector<T>(query.begin(), query.end()), w_.query_weight, w_.query_bias,
                     c_.embed_dim);
    auto k =
        Project(std::vector<T>(key.begin(), key.end()), w_.key_weight, w_.key_bias, c_.key_dim);
    auto v = Project(std::vector<T>(value.begin(), value.end()), w_.value_weight, w_.value_bias,
                     c_.value_dim);
    const int64_t rows = static_cast<int64_t>(query.size()) / c_.embed_dim;
    const int64_t keys = static_cast<int64_t>(key.size()) / c_.key_dim;
    Round(q);
    Round(k);
    Round(v);
    NormAndRotate(q, c_.num_heads, w_.query_norm, offset);
    NormAndRotate(k, c_.num_kv_heads, w_.key_norm, 0);
    std::vector<T> context(rows * c_.num_heads * c_.value_head_dim);
    for (int64_t h = 0; h < c_.num_heads; ++h) {
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t end = causal ? std::min(keys, std::max<int64_t>(0, offset + i + 1)) : keys;
        Attend(q, k, v, h, i, offset, end, gates.empty() ? T(1) : T(gates[h]), bias, context);
      }
    }
    Round(context);
    return Project(context, w_.output_weight, w_.output_bias, c_.num_heads * c_.value_head_dim);
  }

 private:
  T Rounded(T value) const {
    return bfloat16_ ? T(BFloat16ToFloat(FloatToBFloat16(float(value)))) : value;
  }
  void Round(std::vector<T>& values) const {
    for (T& value : values) value = Rounded(value);
  }

  std::vector<T> Project(std::vector<T> x, const std::vector<float>& weight,
                         const std::vector<float>& bias, int64_t inputs) const {
    const int64_t rows = static_cast<int64_t>(x.size()) / inputs;
    const int64_t outputs = static_cast<int64_t>(weight.size()) / inputs;
    std::vector<T> y(rows * outputs), w(weight.begin(), weight.end());
    Round(x);
    Round(w);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < outputs; ++o) {
        T sum = 0;
        for (int64_t i = 0; i < inputs; ++i) sum += x[r * inputs + i] * w[o * inputs + i];
        y[r * outputs + o] = bias.empty() ? sum : sum + T(bias[o]);
      }
    }
    return y;
  }

  // Heads of q or k; row r is at position first + r.
  void NormAndRotate(std::vector<T>& x, int64_t heads, const std::vector<float>& norm,
                     int64_t first) const {
    const int64_t d = c_.head_dim;
    for (int64_t at = 0; at < static_cast<int64_t>(x.size()); at += d) {
      T* const head = x.data() + at;
      if (c_.query_key_norm) {
        T squares = 0;
        for (int64_t i = 0; i < d; ++i) squares += head[i] * head[i];
        const T root = std::sqrt(squares / T(d) + T(c_.norm_epsilon));
        for (int64_t i = 0; i < d; ++i) head[i] = head[i] / root * T(norm[i]);
      }
      if (!c_.rotary.has_value()) continue;
      const RotaryConfig& r = *c_.rotary;
      const bool halves = r.layout == RotaryConfig::Layout::kHalfSplit;
      for (int64_t m = 0; m < r.width / 2; ++m) {
        const double angle = static_cast<double>(first + at / (heads * d)) * Frequency(r, m);
        T& left = head[halves ? m : 2 * m];
        T& right = head[halves ? m + r.width / 2 : 2 * m + 1];
        const T a = left, b = right, cos = T(std::cos(angle)), sin = T(std::sin(angle));
        left = a * cos - b * sin;
        right = b * cos + a * sin;
      }
    }
    if (c_.query_key_norm || c_.rotary.has_value()) Round(x);
  }

  static double Frequency(const RotaryConfig& r, int64_t m) {
    double f = 1.0 / std::pow(r.theta, 2.0 * double(m) / double(r.width));
    if (r.scaling == RotaryConfig::Scaling::kLinear) f /= r.factor;
    if (r.scaling == RotaryConfig::Scaling::kLlama3) {
      // Written as by the model's authors: by wavelength, in three ranges.
      const double wavelength = 2 * M_PI / f;
      const double original = double(r.original_max_position);
      if (wavelength > original / r.low_frequency_factor) {
        f /= r.factor;
      } else if (wavelength >= original / r.high_frequency_factor) {
        const double smooth = (original / wavelength - r.low_frequency_factor) /
                              (r.high_frequency_factor - r.low_frequency_factor);
        f = (1 - smooth) * f / r.factor + smooth * f;
      }
    }
    return f;
  }

  T Relative(int64_t head, int64_t distance) const {
    if (!c_.relative_bias.has_value()) return T(0);
    const RelativeBiasConfig& r = *c_.relative_bias;
    int64_t buckets = r.buckets, first = 0;
    if (r.bidirectional) {
      buckets = r.buckets / 2;
      first = distance > 0 ? buckets : 0;
    } else if (distance > 0) {
      distance = 0;
    }
    const int64_t far = std::abs(distance), exact = buckets / 2;
    int64_t bucket = far;
    if (far >= exact) {
      const float share = std::log(float(far) / float(exact)) /
                          float(std::log(double(r.max_distance) / double(exact)));
      bucket = std::min(buckets - 1, exact + int64_t(share * float(buckets - exact)));
    }
    return T(w_.relative_bias[(first + bucket) * c_.num_heads + head]);
  }

  void Attend(const std::vector<T>& q, const std::vector<T>& k, const std::vector<T>& v, int64_t h,
              int64_t i, int64_t offset, int64_t end, T gate, const ScoreTerm& bias,
              std::vector<T>& context) const {
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
      p[j] = dot * T(c_.scale) + Relative(h, j - (offset + i));
      if (bias.data != nullptr) {
        p[j] += T(LoadFloat(bias.type, bias.data,
                            h * bias.head_stride + i * bias.row_stride + j * bias.key_stride));
      }
      max = j == 0 ? p[j] : std::max(max, p[j]);
    }
    for (T& element : p) sum += element = std::exp(element - max);
    for (int64_t d = 0; d < c_.value_head_dim; ++d) {
      T out = 0;
      for (int64_t j = 0; j < end; ++j) {
        out += Rounded(p[j] / sum) * v[(j * c_.num_kv_heads + kv) * c_.value_head_dim + d];
      }
      context[(i * c_.num_heads + h) * c_.value_head_dim + d] = gate * out;
    }
  }

  const LayerConfig& c_;
  const LayerWeights& w_;
  const bool bfloat16_;
};

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_LAYER_NAIVE_LAYER_H_
