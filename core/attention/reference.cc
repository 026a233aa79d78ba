// SPDX-License-Identifier: Apache-2.0
#include "core/attention/reference.h"

#include <cmath>
#include <limits>
#include <vector>

#include "core/tensor/convert.h"

namespace attend {
namespace {

constexpr double kUnreadable = -std::numeric_limits<double>::infinity();

// One query row of one head. Names follow the equation in attend.v1.AttentionOptions.
class Row {
 public:
  struct Softmax {
    std::vector<double> p;
    double log_sum_exp = kUnreadable;
  };

  Row(const AttentionProblem& problem, const SequenceProblem& sequence, int64_t head, int64_t row)
      : problem_(problem), sequence_(sequence), head_(head), row_(row) {
    kv_head_ = head / (problem.num_heads / problem.num_kv_heads);
    position_ = sequence.query_offset + row;
  }

  // P of every key and ln Z. Sums over no keys give zeros and -inf.
  Softmax ComputeSoftmax() const {
    const int64_t keys = sequence_.key_length;
    const double sink = problem_.params->sink(head_);
    Softmax result;
    result.p.assign(keys, 0.0);
    std::vector<bool> readable(keys);
    double max = sink;
    for (int64_t key = 0; key < keys; ++key) {
      readable[key] = Readable(key);
      if (!readable[key]) continue;
      result.p[key] = Biased(key);
      max = std::fmax(max, result.p[key]);
    }
    // The shift is subtracted from all exponents so that none overflows; it cancels in P.
    const double shift = max == kUnreadable ? 0.0 : max;
    double sum = std::exp(sink - shift);
    for (int64_t key = 0; key < keys; ++key) {
      if (!readable[key]) continue;
      result.p[key] = std::exp(result.p[key] - shift);
      sum += result.p[key];
    }
    for (int64_t key = 0; key < keys; ++key) {
      if (readable[key]) result.p[key] /= sum;
    }
    result.log_sum_exp = shift + std::log(sum);
    return result;
  }

  // gate * P V, of Dv values; only readable values are touched.
  std::vector<double> Output(const std::vector<double>& p, double gate) const {
    std::vector<double> output(problem_.value_head_dim, 0.0);
    for (int64_t key = 0; key < sequence_.key_length; ++key) {
      if (!Readable(key)) continue;
      const std::byte* value = sequence_.value.At(problem_.input_type, kv_head_, key);
      for (int64_t d = 0; d < problem_.value_head_dim; ++d) {
        output[d] += p[key] * LoadFloat(problem_.input_type, value, d);
      }
    }
    for (double& element : output) element *= gate;
    return output;
  }

  // The entry of the key in a matrix of scores of this stage.
  double Stage(WeightsStage stage, int64_t key) const {
    switch (stage) {
      case WeightsStage::kScaled:
        return Scaled(key);
      case WeightsStage::kSoftcapped:
        return Softcapped(key);
      default:
        return Readable(key) ? Biased(key) : kUnreadable;
    }
  }

 private:
  bool Readable(int64_t key) const {
    const AttentionParams& params = *problem_.params;
    if (params.causal && key > position_) return false;
    if (params.window_left.has_value() && key < position_ - *params.window_left) return false;
    if (params.window_right.has_value() && key > position_ + *params.window_right) return false;
    const ScoreTerm& mask = sequence_.mask;
    if (mask.data != nullptr && mask.data[mask.Index(head_, row_, key)] == std::byte{0}) {
      return false;
    }
    return !sequence_.has_bias() || Bias(key) != kUnreadable;
  }

  // The sum of both terms, if there are two.
  double Bias(int64_t key) const {
    double sum = 0.0;
    for (const ScoreTerm* term : {&sequence_.relative_bias, &sequence_.bias}) {
      if (term->data == nullptr) continue;
      sum += LoadFloat(term->type, term->data, term->Index(head_, row_, key));
    }
    return sum;
  }

  // s0
  double Scaled(int64_t key) const {
    const DataType type = problem_.input_type;
    const std::byte* q = sequence_.query.At(type, head_, row_);
    const std::byte* k = sequence_.key.At(type, kv_head_, key);
    double dot = 0.0;
    for (int64_t d = 0; d < problem_.head_dim; ++d) {
      dot += static_cast<double>(LoadFloat(type, q, d)) * LoadFloat(type, k, d);
    }
    return problem_.params->scale * dot;
  }

  // s1
  double Softcapped(int64_t key) const {
    const double scaled = Scaled(key);
    const double cap = problem_.params->softcap;
    return cap == 0.0 ? scaled : cap * std::tanh(scaled / cap);
  }

  // s2
  double Biased(int64_t key) const {
    double score = Softcapped(key);
    if (sequence_.has_bias()) score += Bias(key);
    if (sequence_.alibi_slopes != nullptr) {
      const double distance = std::fabs(static_cast<double>(position_ - key));
      score -= sequence_.alibi_slopes[head_] * distance;
    }
    return score;
  }

  const AttentionProblem& problem_;
  const SequenceProblem& sequence_;
  int64_t head_, row_, kv_head_ = 0, position_ = 0;
};

void StoreOutput(const AttentionProblem& problem, const SequenceProblem& sequence, int64_t head,
                 int64_t row, const std::vector<double>& output) {
  const std::vector<float> rounded(output.begin(), output.end());
  ConvertFromFloat(rounded.data(), problem.output_type, problem.OutputRow(sequence, head, row),
                   problem.value_head_dim);
}

// One head of one query row; adds P to `mean`.
void ComputeHead(const AttentionProblem& problem, const SequenceProblem& sequence, int64_t head,
                 int64_t row, std::vector<double>& mean) {
  const double gate = problem.params->gate(head);
  const bool probabilities = problem.params->weights_stage == WeightsStage::kProbabilities;
  const Row computed(problem, sequence, head, row);
  Row::Softmax softmax;
  softmax.p.assign(sequence.key_length, 0.0);
  std::vector<double> output(problem.value_head_dim, 0.0);
  if (gate != 0.0) {
    softmax = computed.ComputeSoftmax();
    output = computed.Output(softmax.p, gate);
    for (int64_t key = 0; key < sequence.key_length; ++key) mean[key] += softmax.p[key];
  }
  StoreOutput(problem, sequence, head, row, output);
  if (sequence.log_sum_exp != nullptr) {
    problem.LogSumExp(sequence, head, row) = static_cast<float>(softmax.log_sum_exp);
  }
  if (problem.params->weights != WeightsOutput::kPerHead) return;
  float* const weights = problem.WeightsRow(sequence, head, row);
  for (int64_t key = 0; key < sequence.key_length; ++key) {
    const double weight = probabilities ? softmax.p[key]
                          : gate == 0.0 ? kUnreadable
                                        : computed.Stage(problem.params->weights_stage, key);
    weights[key] = static_cast<float>(weight);
  }
}

// All heads of one query row; weights of MEAN are summed in double.
void ComputeRow(const AttentionProblem& problem, const SequenceProblem& sequence, int64_t row) {
  std::vector<double> mean(sequence.key_length, 0.0);
  int64_t heads_in_mean = 0;
  for (int64_t head = 0; head < problem.num_heads; ++head) {
    ComputeHead(problem, sequence, head, row, mean);
    heads_in_mean += problem.params->gate(head) != 0.0f;
  }
  if (problem.params->weights != WeightsOutput::kMean) return;
  float* const weights = problem.WeightsRow(sequence, 0, row);
  for (int64_t key = 0; key < sequence.key_length; ++key) {
    weights[key] = heads_in_mean == 0 ? 0.0f : static_cast<float>(mean[key] / heads_in_mean);
  }
}

}  // namespace

void ReferenceAttention(const AttentionProblem& problem) {
  for (const SequenceProblem& sequence : problem.sequences) {
    for (int64_t row = 0; row < sequence.query_length; ++row) ComputeRow(problem, sequence, row);
  }
}

}  // namespace attend
