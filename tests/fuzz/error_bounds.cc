#include "tests/fuzz/error_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/tensor/convert.h"

namespace attend {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kUnit = 0x1p-24;       // of float32
constexpr double kTiny = 0x1p-126;      // what is less may count as 0
constexpr double kOverflow = 1e37;      // leaves room for log2(e) and sums of a few
constexpr double kExpError = 4e-7;      // relative, of an exponential
constexpr int64_t kSmallestBlock = 16;  // keys between updates of a running maximum

double Load(const Rows& rows, DataType type, int64_t row, int64_t head, int64_t d) {
  return LoadFloat(type, rows.data, row * rows.row_stride + head * rows.head_stride + d);
}

double Term(const ScoreTerm& term, int64_t head, int64_t row, int64_t key) {
  return LoadFloat(term.type, term.data,
                   head * term.head_stride + row * term.row_stride + key * term.key_stride);
}

// The scores of one key.
void BoundScore(const AttentionProblem& p, const SequenceProblem& s, int64_t head, int64_t row,
                int64_t key, RowBounds& bounds) {
  const int64_t kv = head / (p.num_heads / p.num_kv_heads);
  const double scale = p.scale;
  double dot = 0, products = 0, operands = 0, largest_query = 0, keys = 0;
  for (int64_t d = 0; d < p.head_dim; ++d) {
    const double q = Load(s.query, p.input_type, row, head, d);
    const double k = Load(s.key, p.input_type, key, kv, d);
    dot += q * k;
    products += std::fabs(q * k);
    operands += std::fabs(q) + std::fabs(k) + 1;
    keys += std::fabs(k);
    largest_query = std::max(largest_query, std::fabs(q));
  }
  const auto d = static_cast<double>(p.head_dim);
  // Sums of D products, and the scale before or after them; operands that are
  // denormal may count as 0, and queries times a small scale become so.
  double error =
      std::fabs(scale) * ((d + 4) * kUnit * products + kTiny * operands) + 0x1p-149 * (keys + 1);
  bool overflow = products > kOverflow || std::fabs(scale) * products > kOverflow ||
                  std::fabs(scale) * largest_query > kOverflow;
  double score = scale * dot;
  bounds.scaled.push_back(score);
  if (p.softcap != 0.0f) {
    const double cap = p.softcap;
    score = cap * std::tanh(score / cap);
    error += 8 * kUnit * std::fabs(score) + cap * kTiny;
    overflow = overflow || cap > kOverflow;
  }
  bounds.capped.push_back(score);
  double magnitude = std::fabs(score);
  if (s.bias.data != nullptr) {
    const double bias = Term(s.bias, head, row, key);
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
  // Infinities of the input overflow nothing: they are exact.
  bounds.score_overflow.push_back(overflow && std::isfinite(products));
}

bool Readable(const AttentionProblem& p, const SequenceProblem& s, int64_t head, int64_t row,
              int64_t key) {
  const int64_t position = s.query_offset + row;
  if (p.causal && key > position) return false;
  if (p.window_left.has_value() && key < position - *p.window_left) return false;
  if (p.window_right.has_value() && key > position + *p.window_right) return false;
  if (s.mask.data != nullptr && Term(s.mask, head, row, key) == 0) return false;
  return s.bias.data == nullptr || Term(s.bias, head, row, key) != -kInfinity;
}

}  // namespace

RowBounds BoundRow(const AttentionProblem& p, const SequenceProblem& s, int64_t head, int64_t row) {
  RowBounds bounds;
  const double sink = p.sinks.empty() ? -kInfinity : p.sinks[head];
  double max = sink, largest = std::isfinite(sink) ? std::fabs(sink) : 0.0;
  for (int64_t key = 0; key < s.key_length; ++key) {
    BoundScore(p, s, head, row, key, bounds);
    bounds.readable.push_back(Readable(p, s, head, row, key));
    if (!bounds.readable.back()) continue;
    bounds.empty = false;
    const double score = bounds.biased.back();
    bounds.overflow = bounds.overflow || bounds.score_overflow.back();
    bounds.nan = bounds.nan || std::isnan(score) || score == kInfinity;
    max = std::fmax(max, score);
    if (std::isfinite(score)) largest = std::max(largest, std::fabs(score));
  }
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
  // Exponents are taken against a maximum that is rounded and moves.
  const double each = (bfloat16 ? 2e-4 : kExpError) + blocks * (kExpError + 2 * kUnit * largest);
  double sum_error = keys * kUnit + 2 * kUnit * largest;
  for (int64_t key = 0; key < s.key_length; ++key) {
    bounds.p[key] /= sum;
    const double error = bounds.p[key] == 0 ? 0.0 : std::expm1(bounds.score_error[key] + each);
    bounds.p_error.push_back(error);
    sum_error += bounds.p[key] * error;
  }
  for (double& error : bounds.p_error) error += sum_error + error * sum_error;
  bounds.rounded_p_error = bfloat16 ? 0x1p-8 : 0.0;
  bounds.log_sum_exp_error = -std::log1p(-std::min(sum_error + each, 0.999999)) +
                             4 * kUnit * (1 + std::fabs(bounds.log_sum_exp));
  if (sum_error + each >= 0.999999) bounds.log_sum_exp_error = kInfinity;
  for (int64_t key = 0; key < s.key_length; ++key) {
    // From relative to absolute; less than the least of the unnormalised may be 0.
    bounds.p_error[key] = bounds.p[key] * bounds.p_error[key] + 4 * kTiny;
  }
  return bounds;
}

}  // namespace attend
