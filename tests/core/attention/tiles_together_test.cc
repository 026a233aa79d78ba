// Tiles of rows that go through keys together, which sequences of many rows and heads do,
// against the same tiles one by one, as one head alone has them.

#include <cstring>
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

constexpr int64_t kHeads = 16;  // of 8 tiles each: four go together

class TilesTogether : public ::testing::TestWithParam<DataType> {
 protected:
  struct Options {
    std::string name;
    bool causal = false;
    std::optional<int64_t> window_left = std::nullopt;
    int64_t query_offset = 0;
    bool mask = false;
    bool not_finite = false;  // some values, read by some rows
  };

  static void ExpectBitsOfHeadsAlone(const Options& options) {
    ProblemShape shape;
    shape.num_heads = kHeads;
    shape.num_kv_heads = kHeads / 2;
    shape.head_dim = 36;  // two of its words are beyond whole tiles of AMX
    shape.value_head_dim = 20;
    shape.lengths = {{450, 500}};
    shape.type = shape.output_type = GetParam();
    RandomProblem random(shape, 7);
    random.problem.causal = options.causal;
    random.problem.window_left = options.window_left;
    random.problem.sequences[0].query_offset = options.query_offset;
    if (options.mask) random.AddMask(0, true, true, true, 0.8);
    if (options.not_finite) random.SetValue(0, 70, std::numeric_limits<float>::infinity());
    Compute(random);
    for (int64_t head = 0; head < kHeads; ++head) {
      ASSERT_EQ(Alone(random.problem, head), Together(random.problem, head))
          << options.name << ", head " << head;
    }
  }

 private:
  using Bytes = std::vector<std::byte>;

  static Bytes Together(const AttentionProblem& problem, int64_t head) {
    const auto element = static_cast<int64_t>(ElementSize(problem.output_type));
    const SequenceProblem& sequence = problem.sequences[0];
    const int64_t width = problem.value_head_dim * element;
    Bytes rows(sequence.query_length * width);
    for (int64_t row = 0; row < sequence.query_length; ++row) {
      const int64_t at = row * sequence.output.row_stride + head * sequence.output.head_stride;
      std::memcpy(rows.data() + row * width, sequence.output.data + at * element, width);
    }
    return rows;
  }

  static Bytes Alone(const AttentionProblem& problem, int64_t head) {
    AttentionProblem one = problem;
    one.num_heads = one.num_kv_heads = 1;
    SequenceProblem& sequence = one.sequences[0];
    const auto element = static_cast<int64_t>(ElementSize(problem.input_type));
    const int64_t kv_head = head / (problem.num_heads / problem.num_kv_heads);
    sequence.query.data += head * sequence.query.head_stride * element;
    sequence.key.data += kv_head * sequence.key.head_stride * element;
    sequence.value.data += kv_head * sequence.value.head_stride * element;
    if (sequence.mask.data != nullptr) sequence.mask.data += head * sequence.mask.head_stride;
    Bytes rows(sequence.query_length * problem.value_head_dim *
               static_cast<int64_t>(ElementSize(problem.output_type)));
    sequence.output = {rows.data(), problem.value_head_dim, 0};
    WorkerPool pool(1);
    const AttentionProblem* const problems[] = {&one};
    ComputeAttention(problems, pool);
    return rows;
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
}

INSTANTIATE_TEST_SUITE_P(Types, TilesTogether,
                         ::testing::Values(DataType::kFloat32, DataType::kFloat16,
                                           DataType::kBFloat16));

}  // namespace
}  // namespace attend
