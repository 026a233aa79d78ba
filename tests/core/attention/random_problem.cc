// SPDX-License-Identifier: Apache-2.0
#include "tests/core/attention/random_problem.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/tensor/convert.h"

namespace attend {
namespace {

constexpr std::byte kUntouched{0x5a};

}  // namespace

RandomProblem::RandomProblem(const ProblemShape& shape, uint32_t seed) : random_(seed) {
  problem.num_heads = shape.num_heads;
  problem.num_kv_heads = shape.num_kv_heads;
  problem.head_dim = shape.head_dim;
  problem.value_head_dim = shape.value_head_dim;
  params.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  problem.input_type = shape.type;
  problem.output_type = shape.output_type;
  gap_ = shape.gap;
  const auto rows = [&](int64_t length, int64_t heads, int64_t width, DataType type) {
    return StoreRows(shape, length, heads, width, type);
  };
  for (const auto& [queries, keys] : shape.lengths) {
    SequenceProblem sequence;
    sequence.query_length = queries;
    sequence.key_length = keys;
    sequence.query = rows(queries, shape.num_heads, shape.head_dim, shape.type);
    sequence.key = rows(keys, shape.num_kv_heads, shape.head_dim, shape.type);
    sequence.value = rows(keys, shape.num_kv_heads, shape.value_head_dim, shape.type);
    const Rows output = rows(queries, shape.num_heads, shape.value_head_dim, shape.output_type);
    sequence.output = {const_cast<std::byte*>(output.data), output.row_stride, output.head_stride};
    outputs_.push_back(&memory_.back());
    sequences.push_back(sequence);
  }
  problem.params = &params;
  problem.sequences = sequences;
  weights_.resize(shape.lengths.size());
  log_sum_exp_.resize(shape.lengths.size());
  ClearResults();
}

std::byte* RandomProblem::Store(const std::vector<float>& values, DataType type) {
  auto& bytes = memory_.emplace_back(values.size() * ElementSize(type));
  ConvertFromFloat(values.data(), type, bytes.data(), static_cast<int64_t>(values.size()));
  return bytes.data();
}

Rows RandomProblem::StoreRows(const ProblemShape& shape, int64_t length, int64_t heads,
                              int64_t width, DataType type) {
  const int64_t element = static_cast<int64_t>(ElementSize(type)), step = width + shape.gap;
  const std::vector<float> values = Normal(length * heads * width);
  // All bits set is NaN in every type.
  auto& bytes =
      memory_.emplace_back((shape.shift + length * heads * step) * element, std::byte{0xff});
  Rows rows;
  rows.data = bytes.data() + shape.shift * element;
  rows.row_stride = shape.heads_first ? step : heads * step;
  rows.head_stride = shape.heads_first ? length * step : step;
  for (int64_t i = 0; i < length * heads; ++i) {
    ConvertFromFloat(values.data() + i * width, type,
                     bytes.data() + (shape.shift + i * step) * element, width);
  }
  return rows;
}

// Sums of four uniform numbers, which are nearly normal. std::normal_distribution takes a sixth of
// the time of tests that compute little with many numbers.
std::vector<float> RandomProblem::Normal(int64_t count) {
  constexpr float kMean = 2 * 65535.0f, kDeviation = 37837.0f;  // 65536 / sqrt(3)
  std::vector<float> values(count);
  for (float& value : values) {
    const uint32_t two = random_(), more = random_();
    const uint32_t sum = (two & 0xffff) + (two >> 16) + (more & 0xffff) + (more >> 16);
    value = (static_cast<float>(sum) - kMean) / kDeviation;
  }
  return values;
}

void RandomProblem::AddMask(size_t i, bool by_head, bool by_row, bool by_key, double probability) {
  SequenceProblem& s = sequences[i];
  const int64_t keys = by_key ? s.key_length : 1, rows = by_row ? s.query_length : 1;
  auto& bytes = memory_.emplace_back((by_head ? problem.num_heads : 1) * rows * keys);
  std::bernoulli_distribution draw(probability);
  for (std::byte& byte : bytes) byte = std::byte{draw(random_)};
  s.mask = {bytes.data(), DataType::kBool, by_head ? rows * keys : 0, by_row ? keys : 0, by_key};
}

void RandomProblem::AddBias(size_t i, DataType type, bool by_head, bool by_row, bool by_key,
                            double probability) {
  SequenceProblem& s = sequences[i];
  const int64_t keys = by_key ? s.key_length : 1, rows = by_row ? s.query_length : 1;
  std::vector<float> values = Normal((by_head ? problem.num_heads : 1) * rows * keys);
  std::bernoulli_distribution draw(probability);
  for (float& value : values)
    value = draw(random_) ? -std::numeric_limits<float>::infinity() : value;
  ScoreTerm& term = s.bias.data == nullptr ? s.bias : s.relative_bias;
  term = {Store(values, type), type, by_head ? rows * keys : 0, by_row ? keys : 0, by_key};
}

void RandomProblem::AddAlibi(size_t i) {
  sequences[i].alibi_slopes =
      reinterpret_cast<const float*>(Store(Normal(problem.num_heads), DataType::kFloat32));
}

void RandomProblem::AddSinks() {
  params.sinks = Normal(problem.num_heads);
  std::bernoulli_distribution draw(0.2);
  for (float& sink : params.sinks)
    sink = draw(random_) ? -std::numeric_limits<float>::infinity() : 2.0f * sink;
}

void RandomProblem::AskForLogSumExp(bool by_head) {
  int64_t rows = 1;
  for (const SequenceProblem& s : problem.sequences) rows = std::max(rows, s.query_length + 1);
  params.log_sum_exp_head_stride = by_head ? rows : 1;
  params.log_sum_exp_row_stride = by_head ? 1 : problem.num_heads;
  for (size_t i = 0; i < log_sum_exp_.size(); ++i) {
    log_sum_exp_[i].resize(problem.num_heads * rows);
    sequences[i].log_sum_exp = log_sum_exp_[i].data();
  }
  ClearResults();
}

void RandomProblem::AskForWeights(WeightsOutput weights, WeightsStage stage) {
  params.weights = weights;
  params.weights_stage = stage;
  const int64_t heads = weights == WeightsOutput::kPerHead ? problem.num_heads : 1;
  // All sequences have one size, as on the wire, which may be larger than needed.
  int64_t rows = 1, keys = 3;
  for (const SequenceProblem& s : problem.sequences) {
    rows = std::max(rows, s.query_length + 1);
    keys = std::max(keys, s.key_length + 3);
  }
  params.weights_row_stride = keys;
  params.weights_head_stride = rows * keys;
  for (size_t i = 0; i < weights_.size(); ++i) {
    weights_[i].resize(heads * rows * keys);
    sequences[i].weights = weights_[i].data();
  }
  ClearResults();
}

void RandomProblem::SetRow(const Rows& rows, int64_t heads, int64_t width, int64_t row,
                           float value) {
  const std::vector<float> values(width, value);
  for (int64_t head = 0; head < heads; ++head) {
    ConvertFromFloat(
        values.data(), problem.input_type,
        const_cast<std::byte*>(rows.data) +
            Index(rows, row, head) * static_cast<int64_t>(ElementSize(problem.input_type)),
        width);
  }
}

void RandomProblem::Strew(double probability, bool not_finite) {
  std::vector<float> choices = {0.0f, -0.0f,     1e-40f,  -1e-45f, 1e-30f, 1e-6f,
                                1e3f, -65504.0f, 3.4e38f, -1e30f,  1e15f};
  if (not_finite) {
    const uint32_t nan_bits = 0x7fc12345;
    float nan;
    std::memcpy(&nan, &nan_bits, sizeof(nan));
    choices.insert(choices.end(), {std::numeric_limits<float>::infinity(),
                                   -std::numeric_limits<float>::infinity(), nan, -nan});
  }
  std::bernoulli_distribution draw(probability);
  std::uniform_int_distribution<size_t> pick(0, choices.size() - 1);
  const auto strew = [&](const std::byte* data, DataType type, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      if (!draw(random_)) continue;
      const float value = choices[pick(random_)];
      ConvertFromFloat(&value, type,
                       const_cast<std::byte*>(data) + i * static_cast<int64_t>(ElementSize(type)),
                       1);
    }
  };
  const DataType type = problem.input_type;
  for (const SequenceProblem& s : problem.sequences) {
    const auto strew_rows = [&](const Rows& rows, int64_t count, int64_t width) {
      const int64_t step = (width + gap_) * static_cast<int64_t>(ElementSize(type));
      for (int64_t i = 0; i < count; ++i) strew(rows.data + i * step, type, width);
    };
    strew_rows(s.query, s.query_length * problem.num_heads, problem.head_dim);
    strew_rows(s.key, s.key_length * problem.num_kv_heads, problem.head_dim);
    strew_rows(s.value, s.key_length * problem.num_kv_heads, problem.value_head_dim);
    for (const ScoreTerm* term : {&s.bias, &s.relative_bias}) {
      if (term->data == nullptr) continue;
      const int64_t heads = term->head_stride == 0 ? 1 : problem.num_heads;
      const int64_t rows = term->row_stride == 0 ? 1 : s.query_length;
      const int64_t keys = term->key_stride == 0 ? 1 : s.key_length;
      strew(term->data, term->type, heads * rows * keys);
    }
  }
}

void RandomProblem::SetQuery(size_t i, int64_t row, float value) {
  SetRow(sequences[i].query, problem.num_heads, problem.head_dim, row, value);
}

void RandomProblem::SetKey(size_t i, int64_t key, float value) {
  SetRow(sequences[i].key, problem.num_kv_heads, problem.head_dim, key, value);
}

void RandomProblem::SetValue(size_t i, int64_t key, float value) {
  SetRow(sequences[i].value, problem.num_kv_heads, problem.value_head_dim, key, value);
}

std::vector<float> RandomProblem::Output() const {
  std::vector<float> all;
  for (const SequenceProblem& s : problem.sequences) {
    for (int64_t row = 0; row < s.query_length; ++row) {
      for (int64_t head = 0; head < problem.num_heads; ++head) {
        for (int64_t d = 0; d < problem.value_head_dim; ++d) {
          all.push_back(LoadFloat(problem.output_type, s.output.data,
                                  row * s.output.row_stride + head * s.output.head_stride + d));
        }
      }
    }
  }
  return all;
}

std::vector<float> RandomProblem::LogSumExp() const {
  std::vector<float> all;
  for (const SequenceProblem& s : problem.sequences) {
    for (int64_t row = 0; s.log_sum_exp != nullptr && row < s.query_length; ++row) {
      for (int64_t head = 0; head < problem.num_heads; ++head) {
        all.push_back(s.log_sum_exp[head * params.log_sum_exp_head_stride +
                                    row * params.log_sum_exp_row_stride]);
      }
    }
  }
  return all;
}

void RandomProblem::ClearResults() {
  for (size_t i = 0; i < weights_.size(); ++i) {
    std::fill(outputs_[i]->begin(), outputs_[i]->end(), kUntouched);
    std::fill(weights_[i].begin(), weights_[i].end(), -7.0f);
    std::fill(log_sum_exp_[i].begin(), log_sum_exp_[i].end(), -7.0f);
  }
}

bool RandomProblem::GapsAreUntouched() const {
  const int64_t element = static_cast<int64_t>(ElementSize(problem.output_type));
  const int64_t width = problem.value_head_dim;
  for (size_t i = 0; i < problem.sequences.size(); ++i) {
    const int64_t rows = sequences[i].query_length * problem.num_heads;
    const int64_t step = (width + gap_) * element;
    const std::byte* const begin = outputs_[i]->data();
    const std::byte* const end = begin + outputs_[i]->size();
    const std::byte* const first = end - rows * step;
    const auto untouched = [](const std::byte* from, const std::byte* to) {
      return std::all_of(from, to, [](std::byte byte) { return byte == kUntouched; });
    };
    if (!untouched(begin, first)) return false;
    for (int64_t row = 0; row < rows; ++row) {
      const std::byte* const at = first + row * step;
      if (!untouched(at + width * element, at + step)) return false;
    }
  }
  return true;
}

std::string RandomProblem::ToString() const {
  std::string text = absl::StrCat(
      "H=", problem.num_heads, " Hkv=", problem.num_kv_heads, " D=", problem.head_dim,
      " Dv=", problem.value_head_dim, " scale=", params.scale, " type=", Name(problem.input_type),
      " to ", Name(problem.output_type), params.causal ? " causal" : "",
      params.head_gates.empty() ? "" : " gates", " weights=", static_cast<int>(params.weights),
      " stage=", static_cast<int>(params.weights_stage), " softcap=", params.softcap,
      gap_ == 0 ? "" : " gaps", params.sinks.empty() ? "" : " sinks");
  if (params.window_left.has_value()) absl::StrAppend(&text, " left=", *params.window_left);
  if (params.window_right.has_value()) absl::StrAppend(&text, " right=", *params.window_right);
  for (const SequenceProblem& s : problem.sequences) {
    absl::StrAppend(
        &text, " (Lq=", s.query_length, " Lk=", s.key_length, " offset=", s.query_offset,
        s.mask.data != nullptr ? " mask" : "", s.bias.data != nullptr ? " bias" : "",
        s.relative_bias.data != nullptr ? " and bias" : "",
        s.alibi_slopes != nullptr ? " alibi" : "", s.log_sum_exp != nullptr ? " lse" : "", ")");
  }
  return text;
}

}  // namespace attend
