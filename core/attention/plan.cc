// SPDX-License-Identifier: Apache-2.0
#include "core/attention/plan.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/attention/cost.h"
#include "core/attention/kernels/tile_state.h"
#include "core/attention/readable_keys.h"
#include "core/base/math.h"

namespace attend::internal {
namespace {

// The fewest keys and bytes of a split. Long keys of few rows are split so that one sequence
// occupies many workers; reading this much takes tens of microseconds, and a task costs one.
constexpr int64_t kMinSplitKeys = 256;
constexpr int64_t kMinSplitBytes = int64_t{512} << 10;
constexpr int64_t kMaxSplits = 32;

// Tasks per worker when keys are split: enough for workers to finish together, few enough to
// bound the states that wait.
constexpr int64_t kSplitTasksPerWorker = 8;

// Tiles are grouped into one task only while this many tasks per worker remain, so that
// workers finish within a few percent of each other, under causal too.
constexpr int64_t kTasksPerWorker = 16;

// The fewest rows per tile when rows are divided to shorten a task: one AVX-512 vector.
constexpr int64_t kMinTileRows = 16;

bool UsesBFloat16Pairs(const AttentionProblem& problem, const CpuFeatures& cpu) {
  return cpu.avx512_bf16 && problem.input_type == DataType::kBFloat16 &&
         problem.head_dim % 2 == 0 && !ScaleGoesIntoQueries(problem.params->scale);
}

// Tiles with at most this many rows per head of keys and values go to the decode kernel. It
// takes about D / 8 instructions per key and row, the prefill kernel 2 D per key and vector of
// up to 16 rows, which starts faster but waits for memory: long keys are seldom in near caches.
// Measured on a Zen 5, 32 rows of 1,024 keys are 1.2 to 1.7 times as fast by decode from memory,
// and 0.6 to 0.9 times from the second-level cache. Rows that are converted first are in near
// caches by then: 0.8 to 1 times, from 16 rows on. AMX was never measured and keeps the lower
// bound.
int64_t MaxDecodeRows(const AttentionProblem& problem, const SequenceProblem& sequence,
                      const CpuFeatures& cpu) {
  if (sequence.key_length < 256) return 8;
  const bool pairs = UsesBFloat16Pairs(problem, cpu) && !cpu.amx_bf16;
  if (problem.input_type != DataType::kFloat32 && !pairs) return 16;
  return sequence.key_length < 1024 ? 24 : 32;
}

KernelChoice Choose(Kernel kernel, const AttentionProblem& problem, const CpuFeatures& cpu) {
  if (!UsesBFloat16Pairs(problem, cpu)) return {kernel, Arithmetic::kFloat32};
  // A few rows would leave AMX tiles mostly empty.
  const bool amx = kernel == Kernel::kPrefill && cpu.amx_bf16;
  return {kernel, amx ? Arithmetic::kAmx : Arithmetic::kBFloat16Pairs};
}

double Width(const AttentionProblem& problem) {
  return static_cast<double>(problem.head_dim + problem.value_head_dim);
}

// Multiply-adds over `keys` keys of a tile with `rows` rows per head of keys and values.
double TileWork(const AttentionProblem& problem, const SequencePlan& plan, int64_t rows,
                int64_t keys) {
  return static_cast<double>(plan.kv_heads_per_tile * std::max(rows, kRowsOfMemoryTime) * keys) *
         Width(problem);
}

// The most keys that a tile of the plan reads.
int64_t MaxReadableKeys(const AttentionProblem& problem, const SequenceProblem& sequence,
                        const SequencePlan& plan) {
  int64_t most = 0;
  QueryTile tile;
  tile.problem = &problem;
  tile.sequence = &sequence;
  for (int64_t row = 0; row < sequence.query_length; row += plan.rows_per_tile) {
    tile.first_row = row;
    tile.query_rows = static_cast<int>(std::min(plan.rows_per_tile, sequence.query_length - row));
    const ReadableKeys keys = FindReadableKeys(tile);
    most = std::max(most, keys.end - keys.begin);
  }
  return most;
}

// Splits the keys of a single row tile so that many workers can share them.
void SplitKeys(const AttentionProblem& problem, const SequenceProblem& sequence,
               SequencePlan& plan) {
  QueryTile rows;
  rows.problem = &problem;
  rows.sequence = &sequence;
  rows.query_rows = static_cast<int>(sequence.query_length);
  const ReadableKeys readable = FindReadableKeys(rows);
  plan.first_key = readable.begin / kKeyBlock * kKeyBlock;
  const int64_t keys = std::max<int64_t>(readable.end - plan.first_key, 0);
  const int64_t key_bytes = plan.kv_heads_per_tile * (problem.head_dim + problem.value_head_dim) *
                            static_cast<int64_t>(ElementSize(problem.input_type));
  const int64_t least = std::max(kMinSplitKeys, kMinSplitBytes / key_bytes);
  const int64_t splits = std::clamp<int64_t>(keys / least, 1, kMaxSplits);
  plan.keys_per_split = (keys / splits + kKeyBlock) / kKeyBlock * kKeyBlock;
  plan.num_splits = std::max<int64_t>(DivideUp(keys, plan.keys_per_split), 1);
}

// Shortens tasks that would take too long: splits their keys or, with weights, whose tiles need
// all keys, gives tiles fewer rows.
void BoundTasks(const AttentionProblem& problem, const SequenceProblem& sequence,
                SequencePlan& plan) {
  const bool weights = problem.params->weights != WeightsOutput::kNone;
  const int64_t keys = MaxReadableKeys(problem, sequence, plan);
  const int64_t rows = plan.heads_per_tile * std::min(plan.rows_per_tile, sequence.query_length);
  const auto work = [&](int64_t of_rows, int64_t of_keys) {
    // With weights, scores are computed once more and written.
    return TileWork(problem, plan, of_rows, of_keys) * (weights ? 2.0 : 1.0);
  };
  if (plan.num_splits > 0) {
    plan.unit_work = work(rows, plan.keys_per_split);
  } else {
    plan.unit_work = work(rows, keys);
  }
  if (plan.unit_work <= kMaxTaskWork) return;
  if (weights) {
    while (plan.rows_per_tile > kMinTileRows &&
           work(plan.heads_per_tile * plan.rows_per_tile, keys) > kMaxTaskWork) {
      plan.rows_per_tile /= 2;
    }
    plan.row_tiles = DivideUp(sequence.query_length, plan.rows_per_tile);
    plan.unit_work = work(plan.heads_per_tile * plan.rows_per_tile, keys);
    return;
  }
  const auto most_keys = static_cast<int64_t>(kMaxTaskWork / work(rows, 1));
  plan.keys_per_split = std::max<int64_t>(most_keys / kKeyBlock, 1) * kKeyBlock;
  if (plan.row_tiles > 1) plan.first_key = 0;
  plan.num_splits = DivideUp(sequence.key_length - plan.first_key, plan.keys_per_split);
  plan.unit_work = work(rows, plan.keys_per_split);
}

// The most tiles per task whose waiting queries and sums fit half of a second-level cache of 1
// MiB.
int64_t MaxTilesInCache(const AttentionProblem& problem) {
  constexpr int64_t kMaxBytes = int64_t{512} << 10;
  const int64_t bytes = kTileRows * 4 * (problem.head_dim + problem.value_head_dim);
  return std::clamp<int64_t>(kMaxBytes / bytes, 1, kMaxTilesPerTask);
}

}  // namespace

SequencePlan PlanSequence(const AttentionProblem& problem, const SequenceProblem& sequence,
                          const CpuFeatures& cpu) {
  const AttentionParams& params = *problem.params;
  const int64_t group = problem.group_size();
  SequencePlan plan;
  plan.choice = Choose(Kernel::kPrefill, problem, cpu);
  plan.mean_of_weights = params.weights == WeightsOutput::kMean;
  plan.row_tiles = DivideUp<int64_t>(sequence.query_length, kTileRows);
  if (plan.row_tiles == 0) return plan;
  // Heads that share a head of keys and values share a tile if they have few rows, so that the
  // keys and values are read once. Heads with a gate of 0 are not computed, and need tiles of
  // their own.
  const bool all_open = params.CountClosedGates() == 0;
  if (!plan.mean_of_weights && all_open) {
    plan.heads_per_tile = std::clamp<int64_t>(kTileRows / sequence.query_length, 1, group);
  }
  plan.tiles_per_group = DivideUp(group, plan.heads_per_tile);
  if (plan.row_tiles == 1) {
    plan.rows_per_tile = sequence.query_length;
    if (params.weights == WeightsOutput::kNone) {
      const int64_t max_decode = MaxDecodeRows(problem, sequence, cpu);
      const int64_t rows = plan.heads_per_tile * sequence.query_length;
      if (rows <= max_decode) plan.choice = Choose(Kernel::kDecode, problem, cpu);
      const bool decode = plan.choice.kernel == Kernel::kDecode;
      if (decode && all_open && plan.heads_per_tile == group) {
        // Keys of all heads are mostly adjacent in memory.
        plan.kv_heads_per_tile = std::min(kTileRows / rows, problem.num_kv_heads);
      }
      SplitKeys(problem, sequence, plan);
      // The prefill kernel has a faster way to the output than through a state.
      if (plan.num_splits == 1 && !decode) plan.num_splits = 0;
    }
  }
  plan.head_tiles = plan.mean_of_weights ? problem.num_heads
                                         : DivideUp(problem.num_kv_heads, plan.kv_heads_per_tile) *
                                               plan.tiles_per_group;
  BoundTasks(problem, sequence, plan);
  plan.total_work = plan.num_splits > 0
                        ? static_cast<double>(plan.tiles() * plan.num_splits) * plan.unit_work
                        : CountReadableElements(params, sequence) *
                              static_cast<double>(problem.num_heads) * Width(problem);
  plan.max_tiles_per_task =
      plan.row_tiles == 1 || plan.mean_of_weights || plan.num_splits > 0
          ? 1
          : std::min(MaxTilesInCache(problem),
                     std::max<int64_t>(static_cast<int64_t>(kMaxTaskWork / plan.unit_work), 1));
  return plan;
}

void GroupTasks(absl::Span<SequencePlan* const> plans, int workers) {
  double total = 0.0;
  for (const SequencePlan* plan : plans) total += plan->total_work;
  // A single worker need not put off any merge.
  if (workers > 1) total /= static_cast<double>(kSplitTasksPerWorker * workers);
  for (SequencePlan* plan : plans) {
    plan->tiles_per_task = std::clamp<int64_t>(plan->tiles() / (kTasksPerWorker * workers), 1,
                                               plan->max_tiles_per_task);
    if (plan->num_splits == 0) continue;
    const double splits =
        std::clamp(total / plan->unit_work, 1.0, static_cast<double>(plan->num_splits));
    plan->splits_per_task =
        static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::ceil(splits))));
    while (plan->splits_per_task > 1 && plan->task_work() > kMaxTaskWork) {
      plan->splits_per_task /= 2;
    }
  }
}

QueryTile MakeTile(const AttentionProblem& problem, const SequenceProblem& sequence,
                   const SequencePlan& plan, int64_t index) {
  QueryTile tile;
  tile.problem = &problem;
  tile.sequence = &sequence;
  const int64_t row_tile = plan.row_tiles - 1 - index % plan.row_tiles;
  const int64_t head_tile = index / plan.row_tiles;
  tile.first_row = row_tile * plan.rows_per_tile;
  tile.query_rows =
      static_cast<int>(std::min(plan.rows_per_tile, sequence.query_length - tile.first_row));
  if (plan.mean_of_weights) {
    tile.first_head = head_tile;
    return tile;
  }
  const int64_t in_group = head_tile % plan.tiles_per_group * plan.heads_per_tile;
  const int64_t kv_head = head_tile / plan.tiles_per_group * plan.kv_heads_per_tile;
  const int64_t group = problem.group_size();
  tile.first_head = kv_head * group + in_group;
  tile.heads = static_cast<int>(std::min(plan.heads_per_tile, group - in_group) *
                                std::min(plan.kv_heads_per_tile, problem.num_kv_heads - kv_head));
  return tile;
}

std::string ToString(const SequencePlan& plan) {
  const auto name = [](const KernelChoice& choice) {
    return absl::StrCat(choice.kernel == Kernel::kPrefill ? "prefill " : "decode ",
                        choice.arithmetic == Arithmetic::kFloat32         ? "float32"
                        : choice.arithmetic == Arithmetic::kBFloat16Pairs ? "bfloat16"
                                                                          : "amx");
  };
  std::string text =
      absl::StrCat(name(plan.choice), ": ", plan.row_tiles, " x ", plan.head_tiles, " tiles of ",
                   plan.rows_per_tile, " rows of ", plan.heads_per_tile, " heads");
  if (plan.kv_heads_per_tile > 1) {
    absl::StrAppend(&text, " in ", plan.kv_heads_per_tile, " groups");
  }
  if (plan.num_splits > 0) {
    absl::StrAppend(&text, ", ", plan.num_splits, " splits of ", plan.keys_per_split, " keys from ",
                    plan.first_key, ", ", plan.splits_per_task, " per task");
  }
  if (plan.tiles_per_task > 1) absl::StrAppend(&text, ", ", plan.tiles_per_task, " per task");
  absl::StrAppend(&text, ", ", plan.tasks(), " tasks of ", std::llround(plan.task_work() / 1e6),
                  " million multiply-adds");
  return text;
}

}  // namespace attend::internal
