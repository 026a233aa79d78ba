// Scaled dot-product attention on the layout of projections, [L, H, D].

#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/attention/attention.h"
#include "core/attention/reference.h"
#include "core/tensor/convert.h"
#include "core/tensor/tensor.h"
#include "tests/bench/kernels/harness.h"

namespace attend::bench {
namespace {

struct Shape {
  int64_t queries, keys, heads, kv_heads, head_dim;
  bool causal;
  DataType type;
};

Tensor Normal(int64_t rows, int64_t heads, int64_t dim, DataType type, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(rows * heads * dim);
  for (float& value : values) value = normal(random);
  Tensor tensor(type, {rows, heads, dim});
  ConvertFromFloat(values.data(), type, tensor.data(), static_cast<int64_t>(values.size()));
  return tensor;
}

struct Operands {
  Tensor query, key, value, output;
  AttentionProblem problem;

  explicit Operands(const Shape& s)
      : query(Normal(s.queries, s.heads, s.head_dim, s.type, 1)),
        key(Normal(s.keys, s.kv_heads, s.head_dim, s.type, 2)),
        value(Normal(s.keys, s.kv_heads, s.head_dim, s.type, 3)),
        output(s.type, {s.queries, s.heads, s.head_dim}) {
    problem.num_heads = s.heads;
    problem.num_kv_heads = s.kv_heads;
    problem.head_dim = problem.value_head_dim = s.head_dim;
    problem.scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
    problem.causal = s.causal;
    problem.input_type = problem.output_type = s.type;
    SequenceProblem& sequence = problem.sequences.emplace_back();
    sequence.query_length = s.queries;
    sequence.key_length = s.keys;
    sequence.query_offset = s.keys - s.queries;
    const int64_t q_stride = s.heads * s.head_dim, kv_stride = s.kv_heads * s.head_dim;
    sequence.query = {query.data(), q_stride, s.head_dim};
    sequence.key = {key.data(), kv_stride, s.head_dim};
    sequence.value = {value.data(), kv_stride, s.head_dim};
    sequence.output = {output.data(), q_stride, s.head_dim};
  }

  // Three rows of all heads against the reference.
  double Error() {
    double difference = 0, norm = 0;
    const SequenceProblem& all = problem.sequences[0];
    const int64_t element = static_cast<int64_t>(ElementSize(problem.input_type));
    for (const int64_t row : {int64_t{0}, all.query_length / 2, all.query_length - 1}) {
      AttentionProblem one = problem;
      SequenceProblem& s = one.sequences[0];
      std::vector<float> truth(problem.num_heads * problem.value_head_dim);
      one.output_type = DataType::kFloat32;
      s.query_length = 1;
      s.query_offset += row;
      s.query.data += row * s.query.row_stride * element;
      s.output = {reinterpret_cast<std::byte*>(truth.data()), 0, problem.value_head_dim};
      ReferenceAttention(one);
      for (size_t i = 0; i < truth.size(); ++i) {
        const float got = LoadFloat(problem.output_type, output.data(),
                                    row * all.output.row_stride + static_cast<int64_t>(i));
        difference += std::pow(static_cast<double>(got) - truth[i], 2);
        norm += std::pow(static_cast<double>(truth[i]), 2);
      }
    }
    return std::sqrt(difference / norm);
  }
};

Work Make(const Shape& shape) {
  auto operands = std::make_shared<Operands>(shape);
  Work work;
  work.flops = AttentionFlops(operands->problem);
  work.bfloat16 = shape.type == DataType::kBFloat16;
  work.run = [operands](WorkerPool& pool) {
    const AttentionProblem* problems[] = {&operands->problem};
    ComputeAttention(problems, pool);
  };
  work.error = [operands] { return operands->Error(); };
  work.max_error = work.bfloat16 ? 1e-2 : 1e-5;
  return work;
}

}  // namespace

std::vector<Case> OperatorCases() {
  std::vector<Case> cases;
  const auto add = [&](const char* kind, const Shape& s) {
    cases.push_back({absl::StrCat(kind, s.type == DataType::kFloat32 ? " f32" : " bf16",
                                  " Lq=", s.queries, " Lk=", s.keys, " H=", s.heads, "/",
                                  s.kv_heads, " D=", s.head_dim, s.causal ? " causal" : ""),
                     [s] { return Make(s); }});
  };
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    for (const int64_t length : {16, 64, 128, 512, 2048}) {
      for (const bool causal : {false, true}) {
        add("sdpa", {length, length, 16, 16, 64, causal, type});
        add("sdpa", {length, length, 8, 8, 128, causal, type});
      }
    }
    add("decode", {1, 4096, 32, 8, 128, true, type});
    add("decode", {8, 4096, 32, 8, 128, true, type});
  }
  return cases;
}

}  // namespace attend::bench
