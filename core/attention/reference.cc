#include "core/attention/reference.h"

#include <cmath>
#include <limits>
#include <vector>

#include "core/tensor/convert.h"

namespace attend {
namespace {

constexpr double kUnreadable = -std::numeric_limits<double>::infinity();

const std::byte* RowOf(const Rows& rows, DataType type, int64_t row, int64_t head) {
  return rows.data + (row * rows.row_stride + head * rows.head_stride) *
                         static_cast<int64_t>(ElementSize(type));
}

int64_t TermIndex(const ScoreTerm& term, int64_t head, int64_t row, int64_t key) {
  return head * term.head_stride + row * term.row_stride + key * term.key_stride;
}

// One query row of one head.
class Row {
 public:
  Row(const AttentionProblem& problem, const SequenceProblem& sequence, int64_t head, int64_t row)
      : problem_(problem), sequence_(sequence), head_(head), row_(row) {
    kv_head_ = head / (problem.num_heads / problem.num_kv_heads);
  }

  // P of every key; empty sums give zeros.
  std::vector<double> Probabilities() const {
    const int64_t keys = sequence_.key_length;
    std::vector<double> p(keys, 0.0);
    std::vector<bool> readable(keys);
    double max = kUnreadable;
    for (int64_t key = 0; key < keys; ++key) {
      readable[key] = Readable(key);
      if (!readable[key]) continue;
      p[key] = Score(key);
      max = std::fmax(max, p[key]);
    }
    double sum = 0.0;
    for (int64_t key = 0; key < keys; ++key) {
      if (!readable[key]) continue;
      p[key] = std::exp(p[key] - max);
      sum += p[key];
    }
    for (int64_t key = 0; key < keys; ++key) {
      if (readable[key]) p[key] /= sum;
    }
    return p;
  }

  // gate * P V, of Dv values; only readable values are touched.
  std::vector<double> Output(const std::vector<double>& p, double gate) const {
    std::vector<double> output(problem_.value_head_dim, 0.0);
    for (int64_t key = 0; key < sequence_.key_length; ++key) {
      if (!Readable(key)) continue;
      const std::byte* value = RowOf(sequence_.value, problem_.input_type, key, kv_head_);
      for (int64_t d = 0; d < problem_.value_head_dim; ++d) {
        output[d] += p[key] * LoadFloat(problem_.input_type, value, d);
      }
    }
    for (double& element : output) element *= gate;
    return output;
  }

 private:
  bool Readable(int64_t key) const {
    if (problem_.causal && key > sequence_.query_offset + row_) return false;
    const ScoreTerm& mask = sequence_.mask;
    if (mask.data != nullptr && mask.data[TermIndex(mask, head_, row_, key)] == std::byte{0}) {
      return false;
    }
    return sequence_.bias.data == nullptr || Bias(key) != kUnreadable;
  }

  double Bias(int64_t key) const {
    const ScoreTerm& bias = sequence_.bias;
    return LoadFloat(bias.type, bias.data, TermIndex(bias, head_, row_, key));
  }

  double Score(int64_t key) const {
    const DataType type = problem_.input_type;
    const std::byte* q = RowOf(sequence_.query, type, row_, head_);
    const std::byte* k = RowOf(sequence_.key, type, key, kv_head_);
    double dot = 0.0;
    for (int64_t d = 0; d < problem_.head_dim; ++d) {
      dot += static_cast<double>(LoadFloat(type, q, d)) * LoadFloat(type, k, d);
    }
    const double scaled = problem_.scale * dot;
    return sequence_.bias.data == nullptr ? scaled : scaled + Bias(key);
  }

  const AttentionProblem& problem_;
  const SequenceProblem& sequence_;
  int64_t head_, row_, kv_head_ = 0;
};

void StoreOutput(const AttentionProblem& problem, const SequenceProblem& sequence, int64_t head,
                 int64_t row, const std::vector<double>& output) {
  const DataType type = problem.output_type;
  const MutableRows& rows = sequence.output;
  std::byte* destination = rows.data + (row * rows.row_stride + head * rows.head_stride) *
                                           static_cast<int64_t>(ElementSize(type));
  const std::vector<float> rounded(output.begin(), output.end());
  ConvertFromFloat(rounded.data(), type, destination, problem.value_head_dim);
}

// All heads of one query row; weights of MEAN are summed in double.
void ComputeRow(const AttentionProblem& problem, const SequenceProblem& sequence, int64_t row) {
  std::vector<double> mean(sequence.key_length, 0.0);
  int64_t heads_in_mean = 0;
  for (int64_t head = 0; head < problem.num_heads; ++head) {
    const double gate = problem.head_gates.empty() ? 1.0 : problem.head_gates[head];
    std::vector<double> p(sequence.key_length, 0.0);
    std::vector<double> output(problem.value_head_dim, 0.0);
    if (gate != 0.0) {
      const Row computed(problem, sequence, head, row);
      p = computed.Probabilities();
      output = computed.Output(p, gate);
      for (int64_t key = 0; key < sequence.key_length; ++key) mean[key] += p[key];
      ++heads_in_mean;
    }
    StoreOutput(problem, sequence, head, row, output);
    if (problem.weights == WeightsOutput::kPerHead) {
      float* weights =
          sequence.weights + head * problem.weights_head_stride + row * problem.weights_row_stride;
      for (int64_t key = 0; key < sequence.key_length; ++key) {
        weights[key] = static_cast<float>(p[key]);
      }
    }
  }
  if (problem.weights != WeightsOutput::kMean) return;
  float* weights = sequence.weights + row * problem.weights_row_stride;
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
