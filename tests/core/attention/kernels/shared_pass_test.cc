// SPDX-License-Identifier: Apache-2.0

// Tiles that share a pass over the keys, as in sequences of many rows and heads, against the
// same tiles one by one, as a single head has them.

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/attention/attention.h"
#include "gtest/gtest.h"
#include "tests/core/attention/compare.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

constexpr int64_t kHeads = 8;  // 8 tiles per head: four share a pass

class TilesTogether : public ::testing::TestWithParam<DataType> {
 protected:
  struct Options {
    std::string name;
    bool causal = false;
    std::optional<int64_t> window_left = std::nullopt;
    int64_t query_offset = 0;
    bool mask = false;
    bool not_finite = false;  // some values are not finite, and some rows read them
    bool terms = false;       // softcap, bias, ALiBi and sinks
    bool gates = false;       // one gate is 0
    bool weights = false;
    int64_t keys = 500;
  };

  static void ExpectBitsOfHeadsAlone(const Options& options) {
    ProblemShape shape;
    shape.num_heads = kHeads;
    shape.num_kv_heads = kHeads / 2;
    shape.head_dim = 36;  // two of its words are beyond whole tiles of AMX
    shape.value_head_dim = 20;
    shape.lengths = {{450, options.keys}};
    shape.type = shape.output_type = GetParam();
    RandomProblem random(shape, 7);
    random.params.causal = options.causal;
    random.params.window_left = options.window_left;
    random.sequences[0].query_offset = options.query_offset;
    if (options.mask) random.AddMask(0, true, true, true, 0.8);
    if (options.not_finite) random.SetValue(0, 70, std::numeric_limits<float>::infinity());
    if (options.terms) {
      random.params.softcap = 3.0f;
      random.AddBias(0, DataType::kFloat32, true, true, true, 0.1);
      random.AddAlibi(0);
      random.AddSinks();
    }
    if (options.gates) {
      random.params.head_gates.assign(kHeads, 0.5f);
      random.params.head_gates[3] = 0.0f;
    }
    if (options.weights) random.AskForWeights(WeightsOutput::kPerHead);
    random.AskForLogSumExp(true);
    Compute(random);
    for (int64_t head = 0; head < kHeads; ++head) {
      ASSERT_EQ(Alone(random.problem, head), ResultsOf(random.problem, head))
          << options.name << ", head " << head;
    }
  }

 private:
  using Bytes = std::vector<std::byte>;

  // Copies rows of `width` bytes from `stride` to `stride`.
  static void Append(const void* rows, int64_t count, int64_t stride, int64_t width, Bytes& to) {
    const auto* from = static_cast<const std::byte*>(rows);
    for (int64_t row = 0; row < count; ++row) {
      to.insert(to.end(), from + row * stride, from + row * stride + width);
    }
  }

  // Returns the output, log-sum-exp and weights of a head.
  static Bytes ResultsOf(const AttentionProblem& problem, int64_t head) {
    const auto element = static_cast<int64_t>(ElementSize(problem.output_type));
    const SequenceProblem& s = problem.sequences[0];
    Bytes bytes;
    Append(s.output.data + head * s.output.head_stride * element, s.query_length,
           s.output.row_stride * element, problem.value_head_dim * element, bytes);
    Append(s.log_sum_exp + head * problem.params->log_sum_exp_head_stride, s.query_length,
           problem.params->log_sum_exp_row_stride * 4, 4, bytes);
    if (s.weights == nullptr) return bytes;
    Append(s.weights + head * problem.params->weights_head_stride, s.query_length,
           problem.params->weights_row_stride * 4, s.key_length * 4, bytes);
    return bytes;
  }

  static Bytes Alone(const AttentionProblem& problem, int64_t head) {
    AttentionParams params = *problem.params;
    SequenceProblem s = problem.sequences[0];
    AttentionProblem one = problem;
    one.num_heads = one.num_kv_heads = 1;
    one.params = &params;
    one.sequences = absl::MakeConstSpan(&s, 1);
    if (!params.sinks.empty()) params.sinks.assign(1, problem.params->sinks[head]);
    if (!params.head_gates.empty()) params.head_gates.assign(1, problem.params->head_gates[head]);
    const auto element = static_cast<int64_t>(ElementSize(problem.input_type));
    const int64_t kv_head = head / (problem.num_heads / problem.num_kv_heads);
    s.query.data += head * s.query.head_stride * element;
    s.key.data += kv_head * s.key.head_stride * element;
    s.value.data += kv_head * s.value.head_stride * element;
    if (s.mask.data != nullptr) s.mask.data += head * s.mask.head_stride;
    if (s.bias.data != nullptr) s.bias.data += head * s.bias.head_stride * 4;
    if (s.alibi_slopes != nullptr) s.alibi_slopes += head;
    Bytes output(s.query_length * problem.value_head_dim *
                 static_cast<int64_t>(ElementSize(problem.output_type)));
    s.output = {output.data(), problem.value_head_dim, 0};
    std::vector<float> log_sum_exp(s.query_length), weights(s.query_length * s.key_length);
    s.log_sum_exp = log_sum_exp.data();
    params.log_sum_exp_row_stride = 1;
    if (s.weights != nullptr) s.weights = weights.data();
    params.weights_row_stride = s.key_length;
    ExecutionContext context(1);
    const AttentionProblem* const problems[] = {&one};
    internal::ComputeAttention(problems, context, MachineUnderTest());
    return ResultsOf(one, 0);
  }
};

TEST_P(TilesTogether, HaveTheBitsThatEachHasAlone) {
  ExpectBitsOfHeadsAlone({.name = "full"});
  ExpectBitsOfHeadsAlone({.name = "causal", .causal = true});
  ExpectBitsOfHeadsAlone({.name = "causal, after keys", .causal = true, .query_offset = 50});
  ExpectBitsOfHeadsAlone({.name = "causal, before keys", .causal = true, .query_offset = -90});
  ExpectBitsOfHeadsAlone({.name = "window", .causal = true, .window_left = 130});
  ExpectBitsOfHeadsAlone({.name = "wide window", .causal = true, .window_left = 430});
  ExpectBitsOfHeadsAlone({.name = "mask", .mask = true});
  ExpectBitsOfHeadsAlone({.name = "infinite values", .mask = true, .not_finite = true});
  ExpectBitsOfHeadsAlone({.name = "terms", .causal = true, .terms = true});
  ExpectBitsOfHeadsAlone({.name = "gates", .causal = true, .gates = true});
  ExpectBitsOfHeadsAlone({.name = "weights", .causal = true, .weights = true});
  ExpectBitsOfHeadsAlone({.name = "all with few keys",
                          .mask = true,
                          .terms = true,
                          .gates = true,
                          .weights = true,
                          .keys = 30});
}

INSTANTIATE_TEST_SUITE_P(Types, TilesTogether,
                         ::testing::Values(DataType::kFloat32, DataType::kFloat16,
                                           DataType::kBFloat16));

}  // namespace
}  // namespace attend
