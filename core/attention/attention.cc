#include "core/attention/attention.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <new>
#include <utility>

#include "core/attention/cost.h"
#include "core/attention/partial.h"
#include "core/attention/terms.h"
#include "core/attention/tile.h"
#include "core/base/scratch.h"

namespace attend {
namespace {

using internal::kKeyBlock;
using internal::kMostTiles;
using internal::kTileLanes;
using internal::Merge;
using internal::Partial;
using internal::RunTiles;
using internal::Tile;
using internal::WritePartial;

// Long keys of few rows are split, so that one sequence fills many workers: into ranges
// of at least so many keys and bytes (which take tens of microseconds, a task takes one).
constexpr int64_t kMinSplitKeys = 256;
constexpr int64_t kMinSplitBytes = int64_t{512} << 10;
constexpr int64_t kMaxSplits = 32;

// What splits give is merged pair by pair in the order of one tree: the left side of so
// many is the largest power of two below. Neighbours whose number is a power of two, from
// a multiple of it on, are a branch of it, so that a task can take several splits and
// change no bit. (The hash trees of RFC 6962, section 2.1, are cut for the same reason.)
int64_t LeftOf(int64_t count) {
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(count - 1)));
}

// Sums that a task holds while it goes through the tree of kMaxSplits: one a level.
constexpr int kTreeLevels = std::bit_width(static_cast<uint64_t>(kMaxSplits));

// Splits are put together to pieces until there are about so many for each worker: enough
// for an even end, and what waits to be merged is bounded, however many keys there are.
constexpr int64_t kPiecesPerWorker = 8;

// Tiles of a sequence go through keys together as far as so many tasks are left for each
// worker, so that under causal, too, they end within a few percent of each other.
constexpr int64_t kTasksPerWorker = 16;

// A head with gate 0, or a mean over no heads.
void ClearWeights(const AttentionProblem& problem, const Tile& tile) {
  const float value =
      problem.params->weights_stage == WeightsStage::kProbabilities ? 0.0f : kMinusInfinity;
  for (int row = 0; row < tile.rows; ++row) {
    float* to = problem.WeightsRow(*tile.sequence, tile.first_head, tile.first_row + row);
    std::fill(to, to + tile.sequence->key_length, value);
  }
}

// Output and log-sum-exp of a head with gate 0.
void ClearHead(const AttentionProblem& problem, const Tile& tile) {
  const int64_t element = static_cast<int64_t>(ElementSize(problem.output_type));
  const SequenceProblem& sequence = *tile.sequence;
  for (int64_t row = tile.first_row; row < tile.first_row + tile.rows; ++row) {
    std::fill_n(problem.OutputRow(sequence, tile.first_head, row), problem.value_head_dim * element,
                std::byte{0});
    if (sequence.log_sum_exp == nullptr) continue;
    problem.LogSumExp(sequence, tile.first_head, row) = kMinusInfinity;
  }
}

// Tiles of one head, or one of several heads that share keys and values, none or all with
// gate 0.
void RunHeads(absl::Span<const Tile> tiles, Arena& arena) {
  const AttentionProblem& problem = *tiles[0].problem;
  const bool write = problem.params->weights == WeightsOutput::kPerHead;
  if (problem.params->gate(tiles[0].first_head) != 0.0f)
    return RunTiles(tiles, {write, false, 1.0f}, arena);
  for (const Tile& tile : tiles) {
    ClearHead(problem, tile);
    if (write) ClearWeights(problem, tile);
  }
}

// All heads of some rows, one after another, so that their mean is summed in one
// order whatever the number of workers.
void RunMean(Tile tile, Arena& arena) {
  const AttentionProblem& problem = *tile.problem;
  const int64_t gated = problem.params->CountClosedGates();
  const float share = 1.0f / static_cast<float>(problem.num_heads - gated);
  bool add = false;
  for (int64_t head = 0; head < problem.num_heads; ++head) {
    tile.first_head = head;
    if (problem.params->gate(head) == 0.0f) {
      ClearHead(problem, tile);
    } else {
      RunTiles({&tile, 1}, {true, add, share}, arena);
      add = true;
    }
  }
  tile.first_head = 0;
  if (!add) ClearWeights(problem, tile);
}

// How a sequence is cut: where that decides bits, from the problem alone. How many tiles
// go together changes none, and looks at the number of workers too.
class Tiling {
 public:
  Tiling(const AttentionProblem& problem, const SequenceProblem& sequence, int workers)
      : problem_(problem), sequence_(sequence) {
    mean_ = problem.params->weights == WeightsOutput::kMean;
    row_tiles_ = (sequence.query_length + kTileLanes - 1) / kTileLanes;
    group_ = problem.num_heads / problem.num_kv_heads;
    // Heads with one key/value head and few rows share a tile: what they read is
    // then read once. Gates of 0 need tiles of their own.
    const bool gated = problem.params->CountClosedGates() > 0;
    if (sequence.query_length > 0 && !mean_ && !gated) {
      heads_ = std::clamp<int64_t>(kTileLanes / sequence.query_length, 1, group_);
    }
    group_tiles_ = (group_ + heads_ - 1) / heads_;
    if (row_tiles_ > 1 && !mean_) {
      together_ = std::clamp<int64_t>(tiles() / (kTasksPerWorker * workers), 1,
                                      internal::MostTilesTogether(problem));
    }
    if (row_tiles_ != 1 || problem.params->weights != WeightsOutput::kNone) return;
    const int64_t lanes = heads_ * sequence.query_length;
    const bool few = lanes <= internal::MostFewLanes(problem, sequence);
    if (!gated && heads_ == group_ && few) {
      // What all heads have of a key mostly lies together.
      kv_heads_ = std::min(kTileLanes / lanes, problem.num_kv_heads);
    }
    Split(few);
  }

  // Of multiply-adds, as long as they take: a row by itself waits for memory about as long
  // as eight take.
  double work() const {
    if (splits_ > 0) return static_cast<double>(tiles() * splits_) * SplitWork();
    return CountReadableElements(*problem_.params, sequence_) *
           static_cast<double>(problem_.num_heads * (problem_.head_dim + problem_.value_head_dim));
  }

  // Puts splits together to pieces of at least so much work, where there is as much.
  void PutTogether(double work) {
    if (splits_ == 0) return;
    const double splits = std::clamp(work / SplitWork(), 1.0, static_cast<double>(splits_));
    piece_splits_ = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::ceil(splits))));
    pieces_ = (splits_ + piece_splits_ - 1) / piece_splits_;
  }

  // Tasks that can run at once: tiles, or their pieces.
  int64_t size() const { return head_tiles() * row_groups() * pieces_; }

  // Tasks for when those have run.
  int64_t merges() const { return pieces_ > 1 ? tiles() : 0; }

  // Memory that tasks and merges share; the part of one task is independent of others.
  size_t shared_bytes() const {
    return pieces_ > 1 ? static_cast<size_t>(size()) * PartialBytes() : 0;
  }

  // Head by head, so that neighbours share keys and values in the cache; the
  // longest rows first where causal makes them differ, for an even end.
  void Run(int64_t index, std::byte* shared, Arena& arena) const {
    if (together_ > 1) return RunTogether(index, arena);
    const Tile tile = TileAt(index / pieces_);
    if (mean_) return RunMean(tile, arena);
    const bool skipped = problem_.params->gate(tile.first_head) == 0.0f;
    if (skipped && pieces_ > 1) return;  // the merge clears it, once
    if (skipped || splits_ == 0) return RunHeads({&tile, 1}, arena);
    ArenaFrame frame(arena);
    std::byte* own = frame.Take<std::byte>(kTreeLevels * PartialBytes());
    std::array<Partial, kTreeLevels> levels;
    for (int i = 0; i < kTreeLevels; ++i) levels[i] = PartialAt(i, own);
    if (pieces_ > 1) levels[0] = PartialAt(index, shared);
    const int64_t begin = index % pieces_ * piece_splits_;
    RunSplits(tile, begin, std::min(piece_splits_, splits_ - begin), levels.data(), arena);
    if (pieces_ == 1) WritePartial(tile, levels[0]);
  }

  void MergePieces(int64_t index, std::byte* shared, Arena& arena) const {
    const Tile tile = TileAt(index);
    if (problem_.params->gate(tile.first_head) == 0.0f) return RunHeads({&tile, 1}, arena);
    std::array<Partial, kMaxSplits> pieces;
    for (int64_t i = 0; i < pieces_; ++i) pieces[i] = PartialAt(index * pieces_ + i, shared);
    MergeBranch(tile, {pieces.data(), static_cast<size_t>(pieces_)});
    WritePartial(tile, pieces[0]);
  }

 private:
  int64_t row_groups() const { return (row_tiles_ + together_ - 1) / together_; }

  // Neighbouring tiles of one head.
  void RunTogether(int64_t index, Arena& arena) const {
    const int64_t head = index / row_groups(), begin = index % row_groups() * together_;
    const int64_t count = std::min(together_, row_tiles_ - begin);
    Tile tiles[kMostTiles];
    for (int64_t i = 0; i < count; ++i) tiles[i] = TileAt(head * row_tiles_ + begin + i);
    RunHeads({tiles, static_cast<size_t>(count)}, arena);
  }

  // What splits from `begin` on give together, to levels[0]; one more level for each of the
  // tree below.
  void RunSplits(const Tile& tile, int64_t begin, int64_t count, const Partial* levels,
                 Arena& arena) const {
    if (count == 1) {
      Tile split = tile;
      split.begin_key = begin_key_ + begin * split_keys_;
      split.end_key = split.begin_key + split_keys_;
      return RunPartial(split, levels[0], arena);
    }
    const int64_t left = LeftOf(count);
    RunSplits(tile, begin, left, levels, arena);
    RunSplits(tile, begin + left, count - left, levels + 1, arena);
    Merge(tile, levels[0], levels[1]);
  }

  // What pieces gave, to the first.
  static void MergeBranch(const Tile& tile, absl::Span<const Partial> pieces) {
    if (pieces.size() == 1) return;
    const int64_t left = LeftOf(static_cast<int64_t>(pieces.size()));
    MergeBranch(tile, pieces.first(left));
    MergeBranch(tile, pieces.subspan(left));
    Merge(tile, pieces[0], pieces[left]);
  }

  // Of some rows.
  int64_t head_tiles() const {
    if (mean_) return 1;
    return (problem_.num_kv_heads + kv_heads_ - 1) / kv_heads_ * group_tiles_;
  }

  int64_t tiles() const { return row_tiles_ * head_tiles(); }

  void Split(bool few) {
    Tile rows;
    rows.problem = &problem_;
    rows.sequence = &sequence_;
    rows.rows = static_cast<int>(sequence_.query_length);
    const internal::Reach reach = internal::ReachOf(rows);
    begin_key_ = reach.begin / kKeyBlock * kKeyBlock;
    const int64_t keys = std::max<int64_t>(reach.end - begin_key_, 0);
    const int64_t key_bytes = kv_heads_ * (problem_.head_dim + problem_.value_head_dim) *
                              static_cast<int64_t>(ElementSize(problem_.input_type));
    const int64_t least = std::max(kMinSplitKeys, kMinSplitBytes / key_bytes);
    splits_ = std::clamp<int64_t>(keys / least, 1, kMaxSplits);
    split_keys_ = (keys / splits_ + kKeyBlock) / kKeyBlock * kKeyBlock;
    splits_ = std::max<int64_t>((keys + split_keys_ - 1) / split_keys_, 1);  // none is empty
    // A tile of more lanes has a faster way to its output.
    if (splits_ == 1 && !few) splits_ = 0;
  }

  Tile TileAt(int64_t index) const {
    Tile tile;
    tile.problem = &problem_;
    tile.sequence = &sequence_;
    const int64_t row_tile = row_tiles_ - 1 - index % row_tiles_;
    tile.first_row = row_tile * kTileLanes;
    tile.rows =
        static_cast<int>(std::min<int64_t>(kTileLanes, sequence_.query_length - tile.first_row));
    if (mean_) return tile;
    const int64_t head_tile = index / row_tiles_;
    const int64_t in_group = head_tile % group_tiles_ * heads_;
    const int64_t kv_head = head_tile / group_tiles_ * kv_heads_;
    tile.first_head = kv_head * group_ + in_group;
    tile.heads = static_cast<int>(std::min(heads_, group_ - in_group) *
                                  std::min(kv_heads_, problem_.num_kv_heads - kv_head));
    return tile;
  }

  double SplitWork() const {
    constexpr int64_t kLeastLanes = 8;
    const int64_t lanes = std::max(heads_ * sequence_.query_length, kLeastLanes);
    return static_cast<double>(kv_heads_ * lanes * split_keys_ *
                               (problem_.head_dim + problem_.value_head_dim));
  }

  int MostLanes() const { return static_cast<int>(kv_heads_ * heads_ * sequence_.query_length); }

  size_t PartialBytes() const {
    Partial partial;
    Carver carver(nullptr);
    partial.Carve(carver, MostLanes(), problem_.value_head_dim);
    return carver.used();
  }

  Partial PartialAt(int64_t index, std::byte* memory) const {
    Partial partial;
    Carver carver(memory + static_cast<size_t>(index) * PartialBytes());
    partial.Carve(carver, MostLanes(), problem_.value_head_dim);
    return partial;
  }

  const AttentionProblem& problem_;
  const SequenceProblem& sequence_;
  bool mean_ = false;
  int64_t row_tiles_ = 0;
  int64_t group_ = 1;        // query heads of a key/value head
  int64_t heads_ = 1;        // of a group in a tile
  int64_t kv_heads_ = 1;     // in a tile
  int64_t group_tiles_ = 0;  // that the heads of a group need
  int64_t together_ = 1;     // row tiles in a task
  int64_t splits_ = 0;       // of a tile's keys; 0: not through partials
  int64_t split_keys_ = 0;
  int64_t begin_key_ = 0;     // of the first split
  int64_t piece_splits_ = 1;  // in a task
  int64_t pieces_ = 1;        // of a tile
};

// The tiles of one sequence among those of a call: the numbers after its last task and
// merge, and where its memory is.
struct Part {
  Tiling tiling;
  int64_t end = 0, merge_end = 0;
  size_t shared = 0;
};

// The part that task i belongs to, by one of its ends, and the task's number in it.
template <int64_t Part::*kEnd>
std::pair<const Part*, int64_t> Find(absl::Span<const Part> parts, int64_t i) {
  const auto part = std::upper_bound(parts.begin(), parts.end(), i,
                                     [](int64_t index, const Part& p) { return index < p.*kEnd; });
  return {&*part, i - (part == parts.begin() ? 0 : (*std::prev(part)).*kEnd)};
}

}  // namespace

void ComputeAttention(absl::Span<const AttentionProblem* const> problems,
                      ExecutionContext& context) {
  ArenaFrame frame(context.arena(0));
  size_t sequences = 0;
  for (const AttentionProblem* problem : problems) sequences += problem->sequences.size();
  const absl::Span<Part> parts = frame.TakeSpan<Part>(sequences);
  double work = 0.0;
  Part* next = parts.data();
  for (const AttentionProblem* problem : problems) {
    for (const SequenceProblem& sequence : problem->sequences) {
      Part* const part = new (next++) Part{Tiling(*problem, sequence, context.workers())};
      work += part->tiling.work();
    }
  }
  // A single worker need not put off any merge.
  if (context.workers() > 1) work /= static_cast<double>(kPiecesPerWorker * context.workers());
  int64_t end = 0, merge_end = 0;
  size_t bytes = 0;
  for (Part& part : parts) {
    part.tiling.PutTogether(work);
    part.end = end += part.tiling.size();
    part.merge_end = merge_end += part.tiling.merges();
    part.shared = bytes;
    bytes += part.tiling.shared_bytes();
  }
  std::byte* const shared = frame.Take<std::byte>(bytes);
  context.pool().ParallelFor(end, [&](int64_t i, int worker) {
    const auto [part, index] = Find<&Part::end>(parts, i);
    part->tiling.Run(index, shared + part->shared, context.arena(worker));
  });
  context.pool().ParallelFor(merge_end, [&](int64_t i, int worker) {
    const auto [part, index] = Find<&Part::merge_end>(parts, i);
    part->tiling.MergePieces(index, shared + part->shared, context.arena(worker));
  });
}

}  // namespace attend
