#include "core/linalg/panel.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/simd/dispatch.h"
#include "core/tensor/convert.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/linalg/panel.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/simd/bfloat16-inl.h"
#include "core/simd/products-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kPanelLanes = kMaxVectors * static_cast<int>(hn::MaxLanes(F32()));
static_assert(kStripOutputs % kPanelLanes == 0);

// Words of a panel that all rows of a block meet before the next ones: 128 KiB with
// AVX-512, which stay in the second-level cache beside the rows. It gives 64 bytes a
// cycle and six rows need 21, so smaller pieces for the first level gain nothing:
// measured, 128 words are 3 % slower and 768 no faster.
constexpr int64_t kChunkWords = 512;

// Lines of memory in a word of a panel.
constexpr int kWordLines = std::max(1, kPanelLanes / 16);

// A panel that few rows meet streams by at what memory gives. The hardware looks ahead
// within a page of 4 KiB only; 16 words of 256 bytes reach into the next one in time.
constexpr int64_t kFewRows = 12;
constexpr int64_t kAheadBytes = 4096;

struct PrefetchPanel {
  uintptr_t line;
  HWY_INLINE void operator()() {
    ATTEND_UNROLL for (int i = 0; i < kWordLines; ++i) {
      hwy::Prefetch(reinterpret_cast<const std::byte*>(line) + i * 64);
    }
    line += kPanelLanes * sizeof(float);
  }
};

// Otherwise a line a word, of what comes next: between the multiplications it costs
// nothing, in a burst it does. Measured, 2 % of a layer at 32 x 32 tokens.
struct PrefetchLine {
  uintptr_t line;
  HWY_INLINE void operator()() {
    hwy::Prefetch(reinterpret_cast<const std::byte*>(line));
    line += 64;
  }
};

struct Chunk {
  const StripProduct* product;
  const float* panel;
  int64_t word;  // the first
  int64_t words;
  int64_t output;   // of the strip: the first lane
  int64_t outputs;  // from there on
  float* sums;      // [rows][kPanelLanes], from that lane on
  bool first;       // nothing to add to yet
  bool last;        // nothing to be added any more
};

// Asks for the lines that FinishRows writes, far apart in memory.
HWY_INLINE void PrefetchOutputs(const Chunk& chunk, int64_t row, int64_t rows) {
  const StripProduct& p = *chunk.product;
  const int64_t element = p.output_type == DataType::kFloat32 ? 4 : 2;
  const int64_t begin = (p.first_output + chunk.output) * element;
  for (int64_t r = row; r < row + rows; ++r) {
    const std::byte* const y = p.y.row(r) + begin;
    for (int64_t at = 0; at < chunk.outputs * element; at += 64) hwy::Prefetch(y + at);
  }
}

// Adds the bias to sums and writes them.
HWY_NOINLINE void FinishRows(const Chunk& chunk, int64_t row, int64_t rows) {
  const F32 df;
  const hn::Rebind<uint16_t, F32> dh;
  const int n = VectorLanes();
  const StripProduct& p = *chunk.product;
  const float* const bias = p.bias + chunk.output;
  const int64_t output = p.first_output + chunk.output;
  for (int64_t r = row; r < row + rows; ++r) {
    const float* const sums = chunk.sums + r * kPanelLanes;
    std::byte* const y = p.y.row(r);
    const auto value = [&](int64_t i) HWY_ATTR {
      return hn::Add(hn::Load(df, sums + i), hn::Load(df, bias + i));
    };
    int64_t i = 0;
    if (p.output_type == DataType::kFloat32) {
      float* const to = reinterpret_cast<float*>(y) + output;
      for (; i + n <= chunk.outputs; i += n) hn::StoreU(value(i), df, to + i);
      for (; i < chunk.outputs; ++i) to[i] = sums[i] + bias[i];
    } else {
      uint16_t* const to = reinterpret_cast<uint16_t*>(y) + output;
      for (; i + n <= chunk.outputs; i += n) hn::StoreU(RoundToBFloat16(value(i)), dh, to + i);
      for (; i < chunk.outputs; ++i) to[i] = FloatToBFloat16(sums[i] + bias[i]);
    }
  }
}

// What the rows from `row` on, kRows of them, ask for: the first ones of a block in
// turns for the chunk that follows this one in memory, the others for the next rows.
template <int kRows>
HWY_INLINE uintptr_t NextLines(const Chunk& chunk, int64_t row) {
  if (row < kWordLines * kRows) {
    const int64_t words = chunk.words;
    const uintptr_t end = reinterpret_cast<uintptr_t>(chunk.panel) +
                          static_cast<uintptr_t>(words * kPanelLanes) * sizeof(float);
    return end + static_cast<uintptr_t>(row / kRows * words) * 64;
  }
  const StripProduct& p = *chunk.product;
  const int64_t next = row + kRows < p.rows ? row + kRows : 0;
  return reinterpret_cast<uintptr_t>(p.x.row(next) + chunk.word * 4);
}

template <class Multiplier, bool kFew, int kRows, int kVectors>
HWY_INLINE void ChunkRows(const Chunk& chunk, int64_t row) {
  const F32 df;
  const int n = VectorLanes();
  V32 sums[kRows][kVectors];
  const std::byte* rows[kRows];
  float* HWY_RESTRICT to = chunk.sums + row * kPanelLanes;
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    rows[r] = chunk.product->x.row(row + r) + chunk.word * 4;
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(df);
  }
  if (!chunk.first) {
    ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
      ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = hn::Load(df, to + r * kPanelLanes + v * n);
      }
    }
  }
  if (chunk.last) PrefetchOutputs(chunk, row, kRows);
  if constexpr (kFew) {
    const auto ahead = reinterpret_cast<uintptr_t>(chunk.panel) + kAheadBytes;
    AddProducts<Multiplier, kPanelLanes>(chunk.panel, rows, chunk.words, sums,
                                         PrefetchPanel{ahead});
  } else {
    AddProducts<Multiplier, kPanelLanes>(chunk.panel, rows, chunk.words, sums,
                                         PrefetchLine{NextLines<kRows>(chunk, row)});
  }
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
      hn::Store(sums[r][v], df, to + r * kPanelLanes + v * n);
    }
  }
  if (chunk.last) FinishRows(chunk, row, kRows);
}

template <class Multiplier, bool kFew, int kRows, int kVectors>
HWY_INLINE void ChunkTail(int64_t rows, const Chunk& chunk, int64_t row) {
  if (rows == kRows) return ChunkRows<Multiplier, kFew, kRows, kVectors>(chunk, row);
  if constexpr (kRows > 1) ChunkTail<Multiplier, kFew, kRows - 1, kVectors>(rows, chunk, row);
}

template <class Multiplier, bool kFew, int kVectors>
HWY_NOINLINE void RunChunk(const Chunk& chunk, int64_t rows) {
  constexpr int kRows = RegisterRows(kVectors);
  int64_t row = 0;
  for (; rows - row >= 2 * kRows || rows - row == kRows; row += kRows) {
    ChunkRows<Multiplier, kFew, kRows, kVectors>(chunk, row);
  }
  // The last ones in two halves: a row or two by themselves would wait for their sums.
  if (rows - row > kRows) {
    const int64_t half = (rows - row + 1) / 2;
    ChunkTail<Multiplier, kFew, kRows, kVectors>(half, chunk, row);
    row += half;
  }
  if (row < rows) ChunkTail<Multiplier, kFew, kRows, kVectors>(rows - row, chunk, row);
}

// Of outputs [begin, begin + outputs), a panel.
template <class Multiplier>
void RunPanel(const StripProduct& p, int64_t begin, int64_t outputs, float* sums) {
  const float* const panel = p.weights + begin * p.words;
  const bool few = p.rows <= kFewRows;
  const int64_t chunks = few ? 1 : (p.words + kChunkWords - 1) / kChunkWords;
  const int64_t step = (p.words + chunks - 1) / chunks;
  for (int64_t word = 0; word < p.words; word += step) {
    const int64_t words = std::min(step, p.words - word);
    ForVectors(0, static_cast<int>(outputs), [&](auto vectors, int lane) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const Chunk chunk = {&p,
                           panel + word * kPanelLanes + lane,
                           word,
                           words,
                           begin + lane,
                           std::min<int64_t>(outputs - lane, kVectors * VectorLanes()),
                           sums + lane,
                           word == 0,
                           word + words == p.words};
      if (few) return RunChunk<Multiplier, true, kVectors>(chunk, p.rows);
      RunChunk<Multiplier, false, kVectors>(chunk, p.rows);
    });
  }
}

template <class Multiplier>
void RunStripAs(const StripProduct& p) {
  alignas(64) float sums[kStripRows * kPanelLanes];
  for (int64_t begin = 0; begin < p.outputs; begin += kPanelLanes) {
    RunPanel<Multiplier>(p, begin, std::min<int64_t>(kPanelLanes, p.outputs - begin), sums);
  }
}

void RunStripHere(const StripProduct& p) {
#if HWY_TARGET == HWY_AVX3
  if (p.pairs) return RunStripAs<BFloat16Multiplier>(p);
#endif
  RunStripAs<FloatMultiplier>(p);
}

int64_t PanelLanesHere() {
  return kPanelLanes;
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend::internal {

HWY_EXPORT(RunStripHere);
HWY_EXPORT(PanelLanesHere);

int64_t PanelLanes() {
  return ATTEND_DISPATCH(PanelLanesHere)();
}

void RunStrip(const StripProduct& product) {
  ATTEND_DISPATCH(RunStripHere)(product);
}

}  // namespace attend::internal
#endif  // HWY_ONCE
