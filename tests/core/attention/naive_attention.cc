// SPDX-License-Identifier: Apache-2.0

// NaiveAttention of random_problem.h.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/tensor/convert.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Queries, keys or values of a sequence as float: [row][head][width].
class Floats {
 public:
  Floats(DataType type, const Rows& rows, int64_t length, int64_t heads, int64_t width)
      : heads_(heads), width_(width), values_(length * heads * width) {
    for (int64_t row = 0; row < length; ++row) {
      for (int64_t head = 0; head < heads; ++head) {
        ConvertToFloat(type,
                       rows.data + Index(rows, row, head) * static_cast<int64_t>(ElementSize(type)),
                       values_.data() + (row * heads + head) * width, width);
      }
    }
  }

  const float* At(int64_t row, int64_t head) const {
    return values_.data() + (row * heads_ + head) * width_;
  }

 private:
  int64_t heads_, width_;
  std::vector<float> values_;
};

// One row of one head.
struct NaiveRow {
  const AttentionProblem& p;
  const SequenceProblem& s;
  const Floats& query;
  const Floats& key;
  int64_t h, i;

  int64_t at(const ScoreTerm& t, int64_t j) const {
    return h * t.head_stride + i * t.row_stride + j * t.key_stride;
  }
  int64_t kv() const { return h / (p.num_heads / p.num_kv_heads); }

  bool Readable(int64_t j) const {
    const int64_t position = s.query_offset + i;
    if (p.params->causal && j > position) return false;
    if (p.params->window_left.has_value() && j < position - *p.params->window_left) return false;
    if (p.params->window_right.has_value() && j > position + *p.params->window_right) return false;
    return s.mask.data == nullptr || s.mask.data[at(s.mask, j)] != std::byte{0};
  }

  // The score is -inf if the key is not readable or its bias is -inf.
  float Score(int64_t j) const {
    if (!Readable(j)) return -kInfinity;
    float bias = 0.0f;
    for (const ScoreTerm* term : {&s.bias, &s.relative_bias}) {
      if (term->data != nullptr) bias += LoadFloat(term->type, term->data, at(*term, j));
    }
    if (bias == -kInfinity) return bias;
    const float* const q = query.At(i, h);
    const float* const k = key.At(j, kv());
    float score = 0.0f;
    for (int64_t d = 0; d < p.head_dim; ++d) score += q[d] * k[d];
    score *= p.params->scale;
    if (p.params->softcap != 0.0f) score = p.params->softcap * std::tanh(score / p.params->softcap);
    if (s.bias.data != nullptr) score += bias;
    if (s.alibi_slopes != nullptr) {
      score -= s.alibi_slopes[h] * std::fabs(static_cast<float>(s.query_offset + i - j));
    }
    return score;
  }
};

}  // namespace

NaiveResult NaiveAttention(const AttentionProblem& p, bool round_p) {
  NaiveResult all;
  for (const SequenceProblem& s : p.sequences) {
    const Floats query(p.input_type, s.query, s.query_length, p.num_heads, p.head_dim);
    const Floats key(p.input_type, s.key, s.key_length, p.num_kv_heads, p.head_dim);
    const Floats value(p.input_type, s.value, s.key_length, p.num_kv_heads, p.value_head_dim);
    for (int64_t i = 0; i < s.query_length; ++i) {
      for (int64_t h = 0; h < p.num_heads; ++h) {
        const NaiveRow row{p, s, query, key, h, i};
        const float gate = p.params->head_gates.empty() ? 1.0f : p.params->head_gates[h];
        const bool off = gate == 0.0f;
        const float sink = p.params->sinks.empty() || off ? -kInfinity : p.params->sinks[h];
        std::vector<float> weight(s.key_length, -kInfinity), out(p.value_head_dim, 0.0f);
        float max = sink;
        for (int64_t j = 0; j < s.key_length && !off; ++j) {
          weight[j] = row.Score(j);
          max = std::max(max, weight[j]);
        }
        float sum = sink == -kInfinity ? 0.0f : std::exp(sink - max);
        for (int64_t j = 0; j < s.key_length; ++j) {
          if (weight[j] == -kInfinity) continue;
          float e = std::exp(weight[j] - max);
          sum += e;
          if (round_p) e = BFloat16ToFloat(FloatToBFloat16(e));
          const float* const v = value.At(j, row.kv());
          for (int64_t d = 0; d < p.value_head_dim; ++d) out[d] += e * v[d];
        }
        for (const float x : out) all.output.push_back(sum == 0.0f ? 0.0f : gate * (x / sum));
        if (s.log_sum_exp != nullptr) {
          all.log_sum_exp.push_back(sum == 0.0f ? -kInfinity : max + std::log(sum));
        }
      }
    }
  }
  return all;
}

}  // namespace attend
