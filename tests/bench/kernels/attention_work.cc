// SPDX-License-Identifier: Apache-2.0

// Scaled dot-product attention, causal from the end: the last query row is the
// last key's.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "core/attention/attention.h"
#include "core/attention/cost.h"
#include "core/attention/reference.h"
#include "core/tensor/convert.h"
#include "core/tensor/tensor.h"
#include "tests/bench/kernels/work.h"

namespace attend::bench {
namespace {

// Rows of one sequence: [rows, heads, dim] or, heads first, [heads, rows, dim].
struct Operand {
  int64_t rows = 0, heads = 0, dim = 0;
  bool heads_first = false;

  int64_t elements() const { return rows * heads * dim; }
  int64_t row_stride() const { return heads_first ? dim : heads * dim; }
  int64_t head_stride() const { return heads_first ? rows * dim : dim; }
  template <typename Byte>
  BasicRows<Byte> At(Byte* data) const {
    return {data, row_stride(), head_stride()};
  }
};

class Operands {
 public:
  explicit Operands(const nlohmann::json& spec) : type_(TypeOf(spec)) {
    problem_.num_heads = spec.at("heads");
    problem_.num_kv_heads = spec.at("kv_heads");
    problem_.head_dim = problem_.value_head_dim = spec.at("head_dim");
    params_.scale = 1.0f / std::sqrt(static_cast<float>(problem_.head_dim));
    params_.causal = spec.at("causal");
    problem_.input_type = problem_.output_type = type_;
    problem_.params = &params_;
    const bool heads_first = spec.value("heads_first", false);
    // Adds the queries and keys of each sequence, or the same numbers `batch` times.
    if (spec.contains("lengths")) {
      for (const int64_t length : spec.at("lengths")) Add(length, length, heads_first);
    } else {
      for (int64_t b = spec.value("batch", int64_t{1}); b > 0; --b) {
        Add(spec.at("queries"), spec.at("keys"), heads_first);
      }
    }
    Fill(spec.value("copies", int64_t{1}));
  }

  void Run(ExecutionContext& context) {
    const AttentionProblem* problems[] = {&copies_[next_]};
    next_ = (next_ + 1) % copies_.size();
    ComputeAttention(problems, context);
  }

  double Flops() const {
    double flops = 0.0;
    for (const SequenceProblem& sequence : problem_.sequences) {
      flops += AttentionFlops(problem_, params_, sequence);
    }
    return flops;
  }

  double CacheBytes() const {
    int64_t elements = 0;
    for (const Operand& key : keys_) elements += 2 * key.elements();
    return static_cast<double>(elements) * static_cast<double>(ElementSize(type_));
  }

  double Tokens() const {
    int64_t rows = 0;
    for (const Operand& query : queries_) rows += query.rows;
    return static_cast<double>(rows);
  }

  // Compares three rows, all heads, of the first and of the last sequence.
  double Error() const {
    RelativeError error;
    Check(0, error);
    if (queries_.size() > 1) Check(queries_.size() - 1, error);
    return error.Value();
  }

 private:
  void Add(int64_t queries, int64_t keys, bool heads_first) {
    queries_.push_back({queries, problem_.num_heads, problem_.head_dim, heads_first});
    keys_.push_back({keys, problem_.num_kv_heads, problem_.head_dim, heads_first});
  }

  // All copies hold the same numbers in different places.
  void Fill(int64_t copies) {
    int64_t query_elements = 0, key_elements = 0;
    for (const Operand& query : queries_) query_elements += query.elements();
    for (const Operand& key : keys_) key_elements += key.elements();
    query_ = Tensor(type_, {query_elements});
    output_ = Tensor(type_, {query_elements});
    cache_ = Tensor(type_, {copies, 2, key_elements});
    ConvertFromFloat(Normal(query_elements, 1.0f, 1).data(), type_, query_.data(), query_elements);
    ConvertFromFloat(Normal(2 * key_elements, 1.0f, 2).data(), type_, cache_.data(),
                     2 * key_elements);
    const size_t copy_bytes = cache_.byte_size() / static_cast<size_t>(copies);
    for (int64_t copy = 1; copy < copies; ++copy) {
      std::memcpy(cache_.data() + static_cast<size_t>(copy) * copy_bytes, cache_.data(),
                  copy_bytes);
    }
    for (int64_t copy = 0; copy < copies; ++copy) {
      const std::byte* key = cache_.data() + static_cast<size_t>(copy) * copy_bytes;
      sequences_.push_back(Place(key, key + copy_bytes / 2));
      copies_.push_back(problem_);
      copies_.back().sequences = sequences_.back();
    }
    problem_ = copies_.front();
  }

  std::vector<SequenceProblem> Place(const std::byte* key, const std::byte* value) {
    std::vector<SequenceProblem> sequences;
    const auto element = static_cast<int64_t>(ElementSize(type_));
    int64_t query_begin = 0, key_begin = 0;
    for (size_t i = 0; i < queries_.size(); ++i) {
      SequenceProblem& sequence = sequences.emplace_back();
      sequence.query_length = queries_[i].rows;
      sequence.key_length = keys_[i].rows;
      sequence.query_offset = sequence.key_length - sequence.query_length;
      sequence.query = queries_[i].At<const std::byte>(query_.data() + query_begin);
      sequence.output = queries_[i].At(output_.data() + query_begin);
      sequence.key = keys_[i].At(key + key_begin);
      sequence.value = keys_[i].At(value + key_begin);
      query_begin += queries_[i].elements() * element;
      key_begin += keys_[i].elements() * element;
    }
    return sequences;
  }

  void Check(size_t index, RelativeError& error) const {
    const SequenceProblem& all = problem_.sequences[index];
    const auto element = static_cast<int64_t>(ElementSize(type_));
    const int64_t dim = problem_.value_head_dim;
    for (const int64_t row : {int64_t{0}, all.query_length / 2, all.query_length - 1}) {
      std::vector<float> truth(static_cast<size_t>(problem_.num_heads * dim));
      AttentionProblem one = problem_;
      one.output_type = DataType::kFloat32;
      SequenceProblem s = all;
      one.sequences = absl::MakeConstSpan(&s, 1);
      s.query_length = 1;
      s.query_offset += row;
      s.query.data += row * s.query.row_stride * element;
      s.output = {reinterpret_cast<std::byte*>(truth.data()), 0, dim};
      ReferenceAttention(one);
      for (int64_t i = 0; i < problem_.num_heads * dim; ++i) {
        const int64_t at = row * all.output.row_stride + i / dim * all.output.head_stride + i % dim;
        error.Add(LoadFloat(type_, all.output.data, at), truth[static_cast<size_t>(i)]);
      }
    }
  }

  const DataType type_;
  AttentionParams params_;
  AttentionProblem problem_;
  std::vector<Operand> queries_, keys_;  // one per sequence; values are as keys
  Tensor query_, output_, cache_;
  std::vector<std::vector<SequenceProblem>> sequences_;  // per copy
  std::vector<AttentionProblem> copies_;
  size_t next_ = 0;
};

}  // namespace

Work MakeAttention(const nlohmann::json& spec) {
  auto operands = std::make_shared<Operands>(spec);
  Work work;
  work.flops = operands->Flops();
  work.bytes = operands->CacheBytes();
  work.tokens = operands->Tokens();
  work.bfloat16 = TypeOf(spec) == DataType::kBFloat16;
  work.run = [operands](ExecutionContext& context) { operands->Run(context); };
  work.error = [operands] { return operands->Error(); };
  work.max_error = work.bfloat16 ? 1e-2 : 1e-5;
  return work;
}

}  // namespace attend::bench
