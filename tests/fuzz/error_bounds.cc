// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/error_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/tensor/convert.h"

namespace attend {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kUnit = 0x1p-24;       // unit roundoff of float32
constexpr double kTiny = 0x1p-126;      // smaller numbers may count as 0
constexpr double kOverflow = 1e37;      // leaves room for log2(e) and sums of a few
constexpr double kExpError = 4e-7;      // relative error of an exponential
constexpr int64_t kSmallestBlock = 16;  // keys between updates of a running maximum

double Load(const Rows& rows, DataType type, int64_t row, int64_t head, int64_t d) {
  return LoadFloat(type, rows.data, row * rows.row_stride + head * rows.head_stride + d);
}

int64_t Index(const ScoreTerm& term, int64_t head, int64_t row, int64_t key) {
  return head * term.head_stride + row * term.row_stride + key * term.key_stride;
}

double Term(const ScoreTerm& term, int64_t head, int64_t row, int64_t key) {
  return LoadFloat(term.type, term.data, Index(term, head, row, key));
}

// The scores of one key.
void BoundScore(const AttentionProblem& p, const SequenceProblem& s, int64_t head, int64_t row,
                int64_t key, RowBounds& bounds) {
  const int64_t kv = head / (p.num_heads / p.num_kv_heads);
  const double scale = p.params->scale;
  const bool bfloat16 = p.input_type == DataType::kBFloat16;
  bool denormal_infinity = false;
  double dot = 0, products = 0, operands = 0, largest_query = 0, keys = 0;
  for (int64_t d = 0; d < p.head_dim; ++d) {
    const double q = Load(s.query, p.input_type, row, head, d);
    const double k = Load(s.key, p.input_type, key, kv, d);
    dot += q * k;
    // Instructions on bfloat16 read a denormal number as 0, and a query may be multiplied by the
    // scale first: the 0 then turns infinity into NaN.
    const double less = std::min(std::fabs(q), std::fabs(k));
    const bool vanishes = (bfloat16 && less < kTiny) || std::fabs(q * scale) < kTiny;
    denormal_infinity =
        denormal_infinity || (vanishes && less > 0 && (std::isinf(q) || std::isinf(k)));
    // Infinities of the input overflow nothing: they are exact.
    if (std::isfinite(q)) largest_query = std::max(largest_query, std::fabs(q));
    if (!std::isfinite(q * k)) continue;
    products += std::fabs(q * k);
    operands += std::fabs(q) + std::fabs(k) + 1;
    keys += std::fabs(k);
  }
  const auto d = static_cast<double>(p.head_dim);
  // Sums of D products, and the scale before or after them; operands that are
  // denormal may count as 0, and queries times a small scale become so.
  double error =
      std::fabs(scale) * ((d + 4) * kUnit * products + kTiny * operands) + 0x1p-147 * (keys + d);
  bool overflow = products > kOverflow || std::fabs(scale) * products > kOverflow ||
                  std::fabs(scale) * largest_query > kOverflow;
  double score = scale * dot;
  bounds.scaled.push_back(score);
  bounds.scaled_error.push_back(error + 6 * kUnit * (std::isfinite(score) ? std::fabs(score) : 0));
  if (p.params->softcap != 0.0f) {
    const double cap = p.params->softcap;
    score = cap * std::tanh(score / cap);
    error = std::min(error, 2 * cap) + 8 * kUnit * std::fabs(score) + cap * kTiny;
    overflow = overflow || cap > kOverflow;
  }
  bounds.capped.push_back(score);
  double magnitude = std::fabs(score);
  for (const ScoreTerm* term : {&s.bias, &s.relative_bias}) {
    if (term->data == nullptr) continue;
    const double bias = Term(*term, head, row, key);
    score += bias;
    magnitude += std::fabs(bias);
    overflow = overflow || (std::isfinite(bias) && std::fabs(bias) > kOverflow);
  }
  if (s.alibi_slopes != nullptr) {
    const double far = std::fabs(static_cast<double>(s.query_offset + row - key));
    score -= s.alibi_slopes[head] * far;
    magnitude += std::fabs(s.alibi_slopes[head]) * far;
    overflow = overflow || std::fabs(s.alibi_slopes[head]) * far > kOverflow;
  }
  bounds.biased.push_back(score);
  bounds.score_error.push_back(error + 6 * kUnit * (std::isfinite(magnitude) ? magnitude : 0.0));
  bounds.score_overflow.push_back(overflow || denormal_infinity);
}

bool Readable(const AttentionProblem& p, const SequenceProblem& s, int64_t head, int64_t row,
              int64_t key) {
  const int64_t position = s.query_offset + row;
  if (p.params->causal && key > position) return false;
  if (p.params->window_left.has_value() && key < position - *p.params->window_left) return false;
  if (p.params->window_right.has_value() && key > position + *p.params->window_right) return false;
  const ScoreTerm& mask = s.mask;
  if (mask.data != nullptr && mask.data[Index(mask, head, row, key)] == std::byte{0}) return false;
  double bias = 0.0;
  for (const ScoreTerm* term : {&s.bias, &s.relative_bias}) {
    if (term->data != nullptr) bias += Term(*term, head, row, key);
  }
  return bias != -kInfinity;
}

}  // namespace

RowBounds BoundRow(const AttentionProblem& p, const SequenceProblem& s, int64_t head, int64_t row) {
  RowBounds bounds;
  const double sink = p.params->sinks.empty() ? -kInfinity : p.params->sinks[head];
  double max = sink;
  for (int64_t key = 0; key < s.key_length; ++key) {
    BoundScore(p, s, head, row, key, bounds);
    bounds.readable.push_back(Readable(p, s, head, row, key));
    if (!bounds.readable.back()) continue;
    bounds.empty = false;
    const double score = bounds.biased.back();
    bounds.overflow = bounds.overflow || bounds.score_overflow.back();
    bounds.nan = bounds.nan || std::isnan(score) || score == kInfinity;
    max = std::fmax(max, score);
  }
  if (bounds.empty) return bounds;
  const double shift = max == -kInfinity ? 0.0 : max;
  double sum = std::exp(sink - shift);
  for (int64_t key = 0; key < s.key_length; ++key) {
    bounds.p.push_back(bounds.readable[key] ? std::exp(bounds.biased[key] - shift) : 0.0);
    sum += bounds.p.back();
  }
  // All readable scores are -inf: 0 / 0.
  bounds.nan = bounds.nan || (!bounds.empty && sum == 0.0);
  bounds.log_sum_exp = shift + std::log(sum);

  const bool bfloat16 = p.input_type == DataType::kBFloat16;
  const auto keys = static_cast<double>(s.key_length);
  const double blocks = 2 + keys / kSmallestBlock;
  // Exponents are relative to a maximum that is rounded and moves; terms summed relative to a
  // maximum that is 128 less no longer count.
  const double largest = std::fabs(shift) + 128;
  const double each = (bfloat16 ? 2e-4 : kExpError) + blocks * (kExpError + 2 * kUnit * largest);
  double of_largest = 0;  // error of the largest score, which is subtracted from the others
  for (int64_t key = 0; key < s.key_length; ++key) {
    if (!bounds.readable[key] || bounds.biased[key] != max) continue;
    of_largest = std::max(of_largest, bounds.score_error[key]);
  }
  double sum_error = keys * kUnit * sum + 2 * kUnit * largest;
  for (int64_t key = 0; key < s.key_length; ++key) {
    bounds.p_error.push_back(0.0);
    if (!bounds.readable[key]) continue;
    // If the error of a score is large, its weight may be anything up to 1.
    const double error = bounds.score_error[key] + of_largest + each;
    const double p_high = std::exp(std::min(0.0, bounds.biased[key] - shift + error));
    const double p_low = bounds.p[key] * std::exp(-error);
    bounds.p_error[key] =
        std::max(p_high - bounds.p[key], bounds.p[key] - p_low) + bounds.p[key] * each;
    sum_error += bounds.p_error[key];
  }
  const double share = sum_error / sum;  // share of Z that may be wrong
  bounds.rounded_p_error = bfloat16 ? 0x1p-8 : 0.0;
  bounds.log_sum_exp_error =
      share < 0.5 ? 2 * share + 4 * kUnit * (1 + std::fabs(bounds.log_sum_exp)) : kInfinity;
  for (int64_t key = 0; key < s.key_length; ++key) {
    if (!bounds.readable[key]) continue;
    bounds.p[key] /= sum;
    bounds.p_error[key] =
        share < 0.5 ? bounds.p_error[key] / sum * (1 + 2 * share) + 2 * share * bounds.p[key] : 1.0;
    // A result may be 0 if it is smaller than the smallest number before the division.
    bounds.p_error[key] += 4 * kTiny;
  }
  return bounds;
}

}  // namespace attend
