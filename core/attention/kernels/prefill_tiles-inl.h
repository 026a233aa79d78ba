// SPDX-License-Identifier: Apache-2.0

// Prefill of several query tiles in one pass over their keys.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_PREFILL_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_PREFILL_TILES_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_PREFILL_TILES_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_PREFILL_TILES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "absl/types/span.h"
#include "core/attention/kernels/amx-inl.h"
#include "core/attention/kernels/key_blocks-inl.h"
#include "core/attention/kernels/tile_loop-inl.h"
#include "core/attention/kernels/tile_memory.h"
#include "core/attention/query_tile.h"
#include "core/base/arena.h"
#include "core/base/math.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The loops of the tiles that share one pass over the keys, with their memory.
template <class Loop>
class PrefillTiles {
 public:
  PrefillTiles(absl::Span<const QueryTile> tiles, ArenaFrame& frame) {
    constexpr bool kAmx = kUsesAmx<typename Loop::Kernel::Multiplier>;
    const HeadShape& heads = *tiles[0].problem;
    memory_[0].TakeOwn(frame, heads);
    memory_[0].TakeShared(frame, heads, kAmx);
    for (const QueryTile& tile : tiles) {
      if (count_ > 0) {
        memory_[count_] = memory_[0];
        memory_[count_].TakeOwn(frame, heads);
      }
      loops_[count_].emplace(tile, memory_[count_]);
      ++count_;
    }
  }

  // Attends to all keys and writes the results. Whole blocks that all tiles read are packed
  // once; each tile iterates over its blocks in the same order as it would alone.
  void Run(const WeightsStep& weights) {
    const auto [begin, end] = FindSharedKeys();
    for (int i = 0; i < count_; ++i) {
      loops_[i]->Begin();
      loops_[i]->AttendFull(loops_[i]->state().readable.full_begin, begin);
    }
    for (int64_t key = begin; key < end; key += kKeyBlock) {
      KeyBlock block{{key, kKeyBlock}, 0, 0, loops_[0]->state().has_terms};
      const auto values = loops_[0]->kernel().PackValues(block);
      for (int i = 0; i < count_; ++i) {
        block.end_row = loops_[i]->state().tile.size();
        loops_[i]->Attend(block, values);
      }
    }
    for (int i = 0; i < count_; ++i) {
      loops_[i]->AttendFull(std::max(end, loops_[i]->state().readable.full_begin),
                            loops_[i]->state().readable.full_end);
      loops_[i]->End();
      loops_[i]->WriteResults(weights);
    }
  }

  Loop& first() { return *loops_[0]; }

 private:
  // The whole blocks that all rows of all tiles read. Where there are none, an empty range
  // before the keys of each tile.
  std::pair<int64_t, int64_t> FindSharedKeys() const {
    int64_t begin = 0, end = std::numeric_limits<int64_t>::max();
    for (int i = 0; i < count_; ++i) {
      const ReadableKeys& readable = loops_[i]->state().readable;
      begin = std::max(begin, RoundUp<int64_t>(readable.full_begin, kKeyBlock));
      end = std::min(end, readable.full_end / kKeyBlock * kKeyBlock);
    }
    return begin < end ? std::pair<int64_t, int64_t>(begin, end) : std::pair<int64_t, int64_t>();
  }

  int count_ = 0;
  TileMemory memory_[kMaxTilesPerTask];
  std::optional<Loop> loops_[kMaxTilesPerTask];
};

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
