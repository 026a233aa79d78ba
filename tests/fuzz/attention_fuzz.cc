// SPDX-License-Identifier: Apache-2.0

// Question: do the kernels agree with the reference in double on whatever may be
// asked of them? Random shapes, options, offsets, types, strides and addresses, with
// numbers that are NaN, infinite, denormal or huge strewn in, and rows that may read
// nothing.
//
//   attention_fuzz [--seconds=60] [--seed=N] [--one=M]
//
// For an hour's run by hand: build/release/tests/attention_fuzz --seconds=3600. The seed is the
// clock's unless given, and is printed first. Problem i of a run comes from seed + i alone;
// --one=M runs the problem of seed M and describes it. Ends with 1 at the first wrong result.

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/attention/attention.h"
#include "core/attention/reference.h"
#include "core/tensor/convert.h"
#include "tests/core/attention/compare.h"
#include "tests/core/attention/random_problem.h"
#include "tests/fuzz/error_bounds.h"

namespace attend {
namespace {

std::unique_ptr<RandomProblem> MakeProblem(uint32_t seed) {
  Draw draw(seed);
  const std::vector<int64_t> lengths = {0, 1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 64, 65, 130, 200};
  const std::vector<int64_t> widths = {1, 2, 3, 5, 8, 16, 17, 32, 33, 64, 80, 128};
  const std::vector<DataType> types = {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16};
  ProblemShape shape;
  shape.num_kv_heads = draw.In(1, 3);
  shape.num_heads = shape.num_kv_heads * draw.Of<int64_t>({1, 1, 2, 4, 7});
  shape.head_dim = draw.Coin(0.05) ? draw.In(1, 512) : draw.Of(widths);
  shape.value_head_dim = draw.Coin() ? shape.head_dim : draw.Of(widths);
  for (int64_t n = draw.In(1, 3); n > 0; --n) {
    const int64_t queries = draw.Of(lengths);
    shape.lengths.push_back({queries, draw.Coin(0.4) ? queries : draw.Of(lengths)});
  }
  if (draw.Coin(0.05)) shape.lengths = {{draw.In(1, 4), draw.In(500, 1500)}};
  // Many problems find more than large ones, because the reference is slow.
  const auto cost = [&] {
    int64_t pairs = 0;
    for (const auto& [queries, keys] : shape.lengths) pairs += queries * keys;
    return pairs * shape.num_heads * (shape.head_dim + shape.value_head_dim);
  };
  while (cost() > 1'000'000) {
    for (auto& [queries, keys] : shape.lengths) {
      queries = (queries + 1) / 2;
      keys = keys - keys / 4;
    }
    if (shape.lengths.size() > 1) shape.lengths.pop_back();
    if (shape.num_heads > shape.num_kv_heads) shape.num_heads = shape.num_kv_heads;
  }
  if (draw.Coin(0.03)) {  // tiles that share a pass over keys, with one worker
    shape.num_kv_heads = draw.Of<int64_t>({8, 16});
    shape.num_heads = 16;
    shape.head_dim = draw.In(1, 18);
    shape.value_head_dim = draw.In(1, 18);
    shape.lengths = {{draw.In(65, 220), draw.In(1, 90)}};
  }
  shape.type = draw.Of(types);
  shape.output_type = draw.Coin(0.7) ? shape.type : draw.Of(types);
  shape.heads_first = draw.Coin();
  if (draw.Coin()) shape.shift = draw.In(1, 31);
  if (draw.Coin(0.3)) shape.gap = draw.In(1, 17);
  auto random = std::make_unique<RandomProblem>(shape, seed);
  AddOptions(draw, *random);
  if (draw.Coin(0.2)) random->params.scale = draw.Of<float>({30.0f, -1e3f, 1e20f, 1e-20f, 1e-38f});
  for (SequenceProblem& s : random->sequences) {
    if (draw.Coin(0.05)) s.query_offset = draw.Of<int64_t>({kFarPosition, -kFarPosition, 1 << 20});
  }
  if (draw.Coin(0.4)) random->Strew(draw.Of<double>({0.0005, 0.01, 0.2}), draw.Coin());
  return random;
}

// The verdict on one problem, and the problem's description.
class Check {
 public:
  explicit Check(RandomProblem& random) : random_(random), p_(random.problem) {}

  // Empty if all results are right.
  std::string Run() {
    Compute(random_, 1);
    if (!random_.GapsAreUntouched()) return "memory between rows of output was written";
    output_ = random_.Output();
    logs_ = random_.LogSumExp();
    for (size_t i = 0; i < p_.sequences.size(); ++i) weights_.push_back(random_.Weights(i));
    random_.ClearResults();
    Compute(random_, 3);
    if (!SameBits(output_, random_.Output()) || !SameBits(logs_, random_.LogSumExp())) {
      return "the number of workers changes bits";
    }
    random_.ClearResults();
    ReferenceAttention(p_);
    truth_ = random_.Output();
    truth_logs_ = random_.LogSumExp();
    size_t at = 0, log_at = 0;
    for (size_t i = 0; i < p_.sequences.size() && error_.empty(); ++i) {
      for (int64_t row = 0; row < p_.sequences[i].query_length; ++row) {
        std::vector<RowBounds> heads;
        for (int64_t head = 0; head < p_.num_heads; ++head) {
          heads.push_back(BoundRow(p_, p_.sequences[i], head, row));
          where_ = absl::StrCat("sequence ", i, " row ", row, " head ", head);
          CheckOutput(i, head, heads.back(), at);
          at += p_.value_head_dim;
          if (!logs_.empty()) CheckLog(head, heads.back(), log_at++);
          if (p_.params->weights == WeightsOutput::kPerHead)
            CheckWeights(i, row, head, heads.back());
        }
        if (p_.params->weights == WeightsOutput::kMean) CheckMean(i, row, heads);
      }
    }
    return error_;
  }

 private:
  static bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.size() != b.size()) return false;
    return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }

  bool Off(int64_t head) const {
    return !p_.params->head_gates.empty() && p_.params->head_gates[head] == 0.0f;
  }

  void Expect(bool right, const std::string& what, double truth, double got, double bound) {
    if (right || !error_.empty()) return;
    error_ = absl::StrCat(what, " at ", where_, ": ", got, ", the reference says ", truth,
                          ", bound ", bound);
  }

  void ExpectNear(const std::string& what, double truth, double got, double bound) {
    const bool near =
        truth == got || (std::isnan(truth) && std::isnan(got)) || std::fabs(truth - got) <= bound;
    Expect(near, what, truth, got, bound);
  }

  void CheckOutput(size_t sequence, int64_t head, const RowBounds& row, size_t at) {
    const SequenceProblem& s = p_.sequences[sequence];
    for (int64_t d = 0; d < p_.value_head_dim; ++d, ++at) {
      const double truth = truth_[at], got = output_[at];
      if (Off(head) || row.empty) {
        Expect(got == 0.0, "output of nothing", 0.0, got, 0.0);
        continue;
      }
      if (row.overflow) continue;
      if (row.nan) {
        Expect(std::isnan(got), "output of NaN", truth, got, 0.0);
        continue;
      }
      CheckElement(s, head, row, d, truth, got);
    }
  }

  void CheckElement(const SequenceProblem& s, int64_t head, const RowBounds& row, int64_t d,
                    double truth, double got) {
    const int64_t kv = head / (p_.num_heads / p_.num_kv_heads);
    const double gate = p_.params->head_gates.empty() ? 1.0 : p_.params->head_gates[head];
    double sum = 0, error = 0, largest_value = 0;
    bool infinite = false, sure = true;
    for (int64_t key = 0; key < s.key_length; ++key) {
      if (!row.readable[key]) continue;
      const double value = LoadFloat(p_.input_type, s.value.data,
                                     key * s.value.row_stride + kv * s.value.head_stride + d);
      if (!std::isfinite(value)) {
        // A weight that is 0, or was not 0 before the maximum moved, turns infinity into NaN or
        // keeps it.
        const double p = row.p[key];
        infinite = true;
        sure = sure && p > 1e-30 && row.p_error[key] < p / 2;
        continue;
      }
      if (value == 0.0) continue;  // even if the error has no bound
      largest_value = std::max(largest_value, std::fabs(value));
      sum += row.p[key] * std::fabs(value);
      error += (row.p_error[key] + row.p[key] * row.rounded_p_error) * std::fabs(value) +
               row.p[key] * 0x1p-126;
    }
    sum *= std::fabs(gate);
    error *= std::fabs(gate);
    // Sums are of exponentials relative to the largest score so far, and not divided yet.
    if (largest_value * static_cast<double>(s.key_length) > 1e37) return;
    if (infinite) {
      const bool same = std::isnan(truth) ? std::isnan(got) : truth == got;
      Expect(sure ? same : !std::isfinite(got), "output", truth, got, error);
      return;
    }
    const DataType type = p_.output_type;
    const double unit = type == DataType::kFloat32   ? 0x1p-24
                        : type == DataType::kFloat16 ? 0x1p-11
                                                     : 0x1p-8;
    const double least = type == DataType::kFloat16 ? 0x1p-24 : 0x1p-126;
    const double largest = type == DataType::kFloat16 ? 65504 : 3e38;
    error += static_cast<double>(s.key_length + 4) * 0x1p-24 * sum + 2 * unit * sum + least;
    if (sum + error > largest * 0.99) return;  // may be infinite in its type
    ExpectNear("output", truth, got, error);
  }

  void CheckLog(int64_t head, const RowBounds& row, size_t at) {
    const double truth = truth_logs_[at], got = logs_[at];
    if (Off(head) || row.empty) return ExpectNear("log-sum-exp of nothing", truth, got, 0.0);
    if (row.overflow) return;
    // 0 / 0 is NaN, but its logarithm is -inf.
    if (row.nan && truth != -std::numeric_limits<float>::infinity()) {
      return Expect(std::isnan(got), "log-sum-exp of NaN", truth, got, 0.0);
    }
    ExpectNear("log-sum-exp", truth, got, row.log_sum_exp_error);
  }

  void CheckWeights(size_t sequence, int64_t row_index, int64_t head, const RowBounds& row) {
    const int64_t at =
        head * p_.params->weights_head_stride + row_index * p_.params->weights_row_stride;
    for (int64_t key = 0; key < p_.sequences[sequence].key_length; ++key) {
      const double truth = random_.Weights(sequence)[at + key];
      const double got = weights_[sequence][at + key];
      const auto near = [&](double bound) { ExpectNear("weight", truth, got, bound); };
      const bool exact = Off(head) || !row.readable[key];
      switch (p_.params->weights_stage) {
        case WeightsStage::kProbabilities:
          if (exact) {
            near(0.0);
          } else if (!row.overflow) {
            near(row.p_error[key]);
          }
          break;
        case WeightsStage::kBiased:
          if (exact) {
            near(0.0);
          } else if (!row.score_overflow[key]) {
            near(row.score_error[key]);
          }
          break;
        case WeightsStage::kScaled:
          if (!row.score_overflow[key]) near(Off(head) ? 0.0 : row.scaled_error[key]);
          break;
        case WeightsStage::kSoftcapped:
          if (!row.score_overflow[key]) near(Off(head) ? 0.0 : row.score_error[key]);
      }
    }
  }

  void CheckMean(size_t sequence, int64_t row_index, const std::vector<RowBounds>& heads) {
    const int64_t at = row_index * p_.params->weights_row_stride;
    for (int64_t key = 0; key < p_.sequences[sequence].key_length; ++key) {
      double bound = 0x1p-126;
      bool overflow = false;
      for (int64_t head = 0; head < p_.num_heads; ++head) {
        if (Off(head)) continue;
        const RowBounds& row = heads[head];
        if (row.empty) continue;
        overflow = overflow || row.overflow;
        bound += row.p_error[key] + row.p[key] * 0x1p-22;
      }
      if (overflow) continue;
      ExpectNear("mean weight", random_.Weights(sequence)[at + key], weights_[sequence][at + key],
                 std::isnan(bound) ? 0.0 : bound);
    }
  }

  RandomProblem& random_;
  const AttentionProblem& p_;
  std::vector<float> output_, logs_, truth_, truth_logs_;
  std::vector<std::vector<float>> weights_;
  std::string where_, error_;
};

bool RunOne(uint32_t seed, bool say) {
  const auto random = MakeProblem(seed);
  if (say) std::printf("%s\n", random->ToString().c_str());
  const std::string error = Check(*random).Run();
  if (error.empty()) return true;
  std::printf("WRONG: seed %u: %s\n%s\nagain: attention_fuzz --one=%u\n", seed, error.c_str(),
              random->ToString().c_str(), seed);
  return false;
}

int Main(int argc, char** argv) {
  uint32_t seed = static_cast<uint32_t>(std::chrono::system_clock::now().time_since_epoch() /
                                        std::chrono::seconds(1));
  uint32_t one = 0;
  double seconds = 60;
  bool only_one = false;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    bool known = true;
    if (absl::ConsumePrefix(&argument, "--seconds=")) {
      known = absl::SimpleAtod(argument, &seconds);
    } else if (absl::ConsumePrefix(&argument, "--seed=")) {
      known = absl::SimpleAtoi(argument, &seed);
    } else if (absl::ConsumePrefix(&argument, "--one=")) {
      known = only_one = absl::SimpleAtoi(argument, &one);
    } else {
      known = false;
    }
    if (!known) {
      std::fprintf(stderr, "attention_fuzz [--seconds=60] [--seed=N] [--one=M]\n");
      return 2;
    }
  }
  if (only_one) return RunOne(one, true) ? 0 : 1;
  std::printf("seed %u\n", seed);
  std::fflush(stdout);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  uint32_t problems = 0;
  for (; std::chrono::steady_clock::now() < end; ++problems) {
    if (!RunOne(seed + problems, false)) return 1;
  }
  std::printf("%u problems agree\n", problems);
  return 0;
}

}  // namespace
}  // namespace attend

int main(int argc, char** argv) {
  return attend::Main(argc, argv);
}
