// SPDX-License-Identifier: Apache-2.0

// NaiveAttention of random_problem.h.

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/tensor/convert.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// One row of one head.
struct NaiveRow {
  const AttentionProblem& p;
  const SequenceProblem& s;
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
    float score = 0.0f;
    for (int64_t d = 0; d < p.head_dim; ++d) {
      score += LoadFloat(p.input_type, s.query.data, Index(s.query, i, h) + d) *
               LoadFloat(p.input_type, s.key.data, Index(s.key, j, kv()) + d);
    }
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
    for (int64_t i = 0; i < s.query_length; ++i) {
      for (int64_t h = 0; h < p.num_heads; ++h) {
        const NaiveRow row{p, s, h, i};
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
          for (int64_t d = 0; d < p.value_head_dim; ++d) {
            out[d] += e * LoadFloat(p.input_type, s.value.data, Index(s.value, j, row.kv()) + d);
          }
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
