// SPDX-License-Identifier: Apache-2.0

// Attention over ranges of keys, divided anywhere and merged by log-sum-exp, equals attention
// over all keys: the contract for callers that spread keys over servers.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "core/attention/reference.h"
#include "gtest/gtest.h"
#include "tests/core/attention/compare.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Merge : public ::testing::TestWithParam<DataType> {};

INSTANTIATE_TEST_SUITE_P(Types, Merge,
                         ::testing::Values(DataType::kFloat32, DataType::kFloat16,
                                           DataType::kBFloat16),
                         [](const auto& param) { return std::string(Name(param.param)); });

// The problem of keys [begin, end) alone; positions count from its first key.
void Narrow(RandomProblem& random, int64_t begin, int64_t end) {
  SequenceProblem& s = random.sequences[0];
  const int64_t element = static_cast<int64_t>(ElementSize(random.problem.input_type));
  s.key.data += begin * s.key.row_stride * element;
  s.value.data += begin * s.value.row_stride * element;
  for (ScoreTerm* term : {&s.bias, &s.mask}) {
    if (term->data == nullptr) continue;
    term->data += begin * term->key_stride * static_cast<int64_t>(ElementSize(term->type));
  }
  s.key_length = end - begin;
  s.query_offset -= begin;
}

struct Shard {
  std::vector<float> output, log_sum_exp;
};

// Merges row by row, with `width` numbers per row. A shard with a log-sum-exp of -inf has no
// share.
Shard Merged(const std::vector<Shard>& shards, int64_t width) {
  Shard merged;
  for (size_t row = 0; row < shards[0].log_sum_exp.size(); ++row) {
    double max = -kInfinity, sum = 0.0;
    for (const Shard& shard : shards) max = std::max<double>(max, shard.log_sum_exp[row]);
    std::vector<double> output(static_cast<size_t>(width), 0.0);
    for (const Shard& shard : shards) {
      if (shard.log_sum_exp[row] == -kInfinity) continue;
      const double share = std::exp(shard.log_sum_exp[row] - max);
      sum += share;
      for (size_t d = 0; d < output.size(); ++d) {
        output[d] += share * shard.output[row * output.size() + d];
      }
    }
    merged.log_sum_exp.push_back(static_cast<float>(sum == 0.0 ? -kInfinity : max + std::log(sum)));
    for (const double value : output) {
      merged.output.push_back(static_cast<float>(sum == 0.0 ? 0.0 : value / sum));
    }
  }
  return merged;
}

// A key range cut into shards; cuts may coincide, and then a shard is empty.
std::vector<int64_t> Cuts(Draw& draw, int64_t keys) {
  std::vector<int64_t> cuts = {0, keys};
  for (int64_t n = draw.In(1, 4); n > 0; --n) cuts.push_back(draw.In(0, keys));
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

TEST_P(Merge, OfAnySplitIsTheWhole) {
  for (uint32_t seed = 0; seed < 40 && !HasFailure(); ++seed) {
    Draw draw(seed);
    ProblemShape shape;
    shape.num_kv_heads = draw.In(1, 2);
    shape.num_heads = shape.num_kv_heads * draw.In(1, 4);
    shape.head_dim = draw.Of<int64_t>({8, 24, 64});
    shape.value_head_dim = draw.Of<int64_t>({10, 64});
    const bool decode = draw.Coin();
    const int64_t keys = draw.In(1, decode ? 700 : 200);
    shape.lengths = {{decode ? draw.In(1, 4) : draw.In(5, 80), keys}};
    shape.type = GetParam();
    const bool causal = draw.Coin(), window = draw.Coin(0.3), alibi = draw.Coin(0.3);
    const bool sinks = draw.Coin(), bias = draw.Coin(), mask = draw.Coin(0.3);
    const float softcap = draw.Coin(0.3) ? 4.0f : 0.0f;
    const int64_t offset = draw.In(-3, keys);
    const auto make = [&] {
      auto random = std::make_unique<RandomProblem>(shape, seed);
      random->params.causal = causal;
      random->params.softcap = softcap;
      if (window) random->params.window_left = random->params.window_right = 40;
      random->sequences[0].query_offset = offset;
      if (bias) random->AddBias(0, DataType::kFloat32, true, true, true, 0.2);
      if (mask) random->AddMask(0, false, true, true, 0.7);
      if (alibi) random->AddAlibi(0);
      if (sinks) random->AddSinks();
      random->AskForLogSumExp(false);
      return random;
    };
    const std::vector<int64_t> cuts = Cuts(draw, keys);
    const size_t with_sinks =
        static_cast<size_t>(draw.In(0, static_cast<int64_t>(cuts.size()) - 2));
    std::vector<Shard> shards;
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      const auto random = make();
      Narrow(*random, cuts[i], cuts[i + 1]);
      if (i != with_sinks) random->params.sinks.clear();
      Compute(*random);
      shards.push_back({random->Output(), random->LogSumExp()});
    }
    const Shard merged = Merged(shards, shape.value_head_dim);

    const auto whole = make();
    ReferenceAttention(whole->problem);
    const bool bfloat16 = GetParam() == DataType::kBFloat16;
    const NaiveResult naive = NaiveAttention(whole->problem, bfloat16);
    const std::vector<float> truth = whole->Output(), logs = whole->LogSumExp();
    // The bound is that of compare.h for one problem, plus the errors of shards: a shard's
    // log-sum-exp is rounded to float32 (in bfloat16 it is of exponentials that err by 1e-4),
    // and its share of the output has the same relative error.
    double log_bound = (bfloat16 ? 1e-4 : 0.0) + 8 * 0x1p-24 * (1 + MaxMagnitude(logs));
    for (const Shard& shard : shards) {
      log_bound = std::max(log_bound, 8 * 0x1p-24 * (1 + MaxMagnitude(shard.log_sum_exp)));
    }
    log_bound += 2 * MaxError(logs, naive.log_sum_exp);
    const std::string what = "seed " + std::to_string(seed) + " " + whole->ToString();
    ExpectNear(logs, merged.log_sum_exp, log_bound, "log-sum-exp, " + what);
    // The largest magnitude over all shards, since their outputs may be larger than that of the
    // whole.
    double largest = 0.0;
    for (const Shard& shard : shards) largest = std::max(largest, MaxMagnitude(shard.output));
    const double rounding = bfloat16 ? 0x1p-9 : 0x1p-24;
    ExpectNear(truth, merged.output,
               2 * MaxError(truth, naive.output) + (4 * rounding + 2 * log_bound) * largest,
               "output, " + what);
  }
}

}  // namespace
}  // namespace attend
