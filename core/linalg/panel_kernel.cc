// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/panel_kernel.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/base/math.h"
#include "core/simd/dispatch.h"
#include "core/tensor/convert.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/linalg/panel_kernel.cc"
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

constexpr int kPanelWidth = kMaxVectors * static_cast<int>(hn::MaxLanes(F32()));
static_assert(kColumnBlock % kPanelWidth == 0);

// Words of a panel that all rows of a row block are multiplied with before the next ones:
// 128 KiB with AVX-512, which stay in the second-level cache beside the rows. That cache
// gives 64 bytes per cycle and six rows need 21, so smaller blocks for the first level
// gain nothing: measured, 128 words are 3 % slower and 768 no faster.
constexpr int64_t kDepthBlock = 512;

// Cache lines that a word of a panel occupies.
constexpr int kWordLines = std::max(1, kPanelWidth / 16);

// What is prefetched beside the multiplications: kNone, kFirst and kSecond are levels for the
// panel itself, which few rows stream from memory.
enum class Prefetch { kNone, kFirst, kSecond, kNextLines };

// Prefetches the panel itself, at a distance. The level is a constant, because a branch here
// would cost the sums their registers.
template <Prefetch kInto>
struct PrefetchPanel {
  uintptr_t line;
  HWY_INLINE void operator()() {
    if constexpr (kInto == Prefetch::kNone) return;
    ATTEND_UNROLL for (int i = 0; i < kWordLines; ++i) {
      const void* const at = reinterpret_cast<const std::byte*>(line) + i * 64;
      if constexpr (kInto == Prefetch::kFirst) __builtin_prefetch(at, 0, 3);
      if constexpr (kInto == Prefetch::kSecond) __builtin_prefetch(at, 0, 2);
    }
    line += kPanelWidth * sizeof(float);
  }
};

// Prefetches one line per word of what is read next. Between the multiplications that
// costs nothing, in a burst it does: 2 % of a layer at 32 x 32 tokens, measured.
struct PrefetchLine {
  uintptr_t line;
  HWY_INLINE void operator()() {
    hwy::Prefetch(reinterpret_cast<const std::byte*>(line));
    line += 64;
  }
};

// All rows of a product times one depth block of the lanes that share registers.
struct DepthChunk {
  const PanelProduct* product;
  const float* panel;  // the first word's first lane
  int64_t word;        // first word, in a row of x
  int64_t words;
  int64_t output;   // of the first lane, in the column block
  int64_t outputs;  // from that lane on
  float* sums;      // [rows][kPanelWidth], from that lane on
  bool first;       // there are no sums yet
  bool last;        // sums are whole afterwards
  bool partial;     // sums start from 0 and are added to those that are there
};

// Prefetches the lines that FinishRows writes, which are far apart in memory.
HWY_INLINE void PrefetchOutputs(const DepthChunk& chunk, int64_t row, int64_t rows) {
  const PanelProduct& product = *chunk.product;
  const int64_t element = product.output_type == DataType::kFloat32 ? 4 : 2;
  const int64_t begin = (product.first_output + chunk.output) * element;
  for (int64_t r = row; r < row + rows; ++r) {
    const std::byte* const y = product.y[r] + begin;
    for (int64_t at = 0; at < chunk.outputs * element; at += 64) hwy::Prefetch(y + at);
  }
}

// Adds the bias to whole sums and writes them.
HWY_NOINLINE void FinishRows(const DepthChunk& chunk, int64_t row, int64_t rows) {
  const F32 df;
  const hn::Rebind<uint16_t, F32> dh;
  const int n = VectorLanes();
  const PanelProduct& product = *chunk.product;
  const float* const bias = product.bias + chunk.output;
  const int64_t output = product.first_output + chunk.output;
  for (int64_t r = row; r < row + rows; ++r) {
    const float* const sums = chunk.sums + r * kPanelWidth;
    const auto value = [&](int64_t i) HWY_ATTR {
      return hn::Add(hn::Load(df, sums + i), hn::Load(df, bias + i));
    };
    int64_t i = 0;
    if (product.output_type == DataType::kFloat32) {
      float* const to = reinterpret_cast<float*>(product.y[r]) + output;
      for (; i + n <= chunk.outputs; i += n) hn::StoreU(value(i), df, to + i);
      for (; i < chunk.outputs; ++i) to[i] = sums[i] + bias[i];
    } else {
      uint16_t* const to = reinterpret_cast<uint16_t*>(product.y[r]) + output;
      for (; i + n <= chunk.outputs; i += n) hn::StoreU(RoundToBFloat16(value(i)), dh, to + i);
      for (; i < chunk.outputs; ++i) to[i] = FloatToBFloat16(sums[i] + bias[i]);
    }
  }
}

// What to prefetch while kRows rows from `row` on are multiplied. The first register
// blocks share the lines of the next depth block, one column of lines each; the others
// prefetch the x of the rows that follow.
template <int kRows>
HWY_INLINE uintptr_t FindNextLines(const DepthChunk& chunk, int64_t row) {
  const int64_t register_block = row / kRows;
  if (register_block < kWordLines) {
    const uintptr_t next_panel = reinterpret_cast<uintptr_t>(chunk.panel) +
                                 static_cast<uintptr_t>(chunk.words * kPanelWidth) * sizeof(float);
    return next_panel + static_cast<uintptr_t>(register_block * chunk.words) * 64;
  }
  const PanelProduct& product = *chunk.product;
  const int64_t next = row + kRows < product.rows ? row + kRows : 0;
  return reinterpret_cast<uintptr_t>(product.x[next] + chunk.word * 4);
}

// One register block: rows [row, row + kRows) times kVectors vectors of lanes.
template <class Multiplier, Prefetch kPrefetch, int kRows, int kVectors>
HWY_INLINE void MultiplyRows(const DepthChunk& chunk, int64_t row) {
  const F32 df;
  const int n = VectorLanes();
  V32 sums[kRows][kVectors];
  const std::byte* rows[kRows];
  float* HWY_RESTRICT to = chunk.sums + row * kPanelWidth;
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    rows[r] = chunk.product->x[row + r] + chunk.word * 4;
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(df);
  }
  if (!chunk.first && !chunk.partial) {
    ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
      ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = hn::Load(df, to + r * kPanelWidth + v * n);
      }
    }
  }
  if (chunk.last) PrefetchOutputs(chunk, row, kRows);
  if constexpr (kPrefetch == Prefetch::kNextLines) {
    AddProducts<Multiplier, kPanelWidth>(chunk.panel, rows, chunk.words, sums,
                                         PrefetchLine{FindNextLines<kRows>(chunk, row)});
  } else {
    const auto ahead = reinterpret_cast<uintptr_t>(chunk.panel) +
                       static_cast<uintptr_t>(chunk.product->prefetch.bytes);
    AddProducts<Multiplier, kPanelWidth>(chunk.panel, rows, chunk.words, sums,
                                         PrefetchPanel<kPrefetch>{ahead});
  }
  if (!chunk.first && chunk.partial) {
    ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
      ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = hn::Add(hn::Load(df, to + r * kPanelWidth + v * n), sums[r][v]);
      }
    }
  }
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
      hn::Store(sums[r][v], df, to + r * kPanelWidth + v * n);
    }
  }
  if (chunk.last) FinishRows(chunk, row, kRows);
}

// The same for `rows` rows, 1 <= rows <= kRows.
template <class Multiplier, Prefetch kPrefetch, int kRows, int kVectors>
HWY_INLINE void MultiplyUpTo(int64_t rows, const DepthChunk& chunk, int64_t row) {
  if (rows == kRows) return MultiplyRows<Multiplier, kPrefetch, kRows, kVectors>(chunk, row);
  if constexpr (kRows > 1) {
    MultiplyUpTo<Multiplier, kPrefetch, kRows - 1, kVectors>(rows, chunk, row);
  }
}

template <class Multiplier, Prefetch kPrefetch, int kVectors>
HWY_NOINLINE void RunChunk(const DepthChunk& chunk, int64_t rows) {
  constexpr int kRows = RegisterRows(kVectors);
  int64_t row = 0;
  for (; rows - row >= 2 * kRows || rows - row == kRows; row += kRows) {
    MultiplyRows<Multiplier, kPrefetch, kRows, kVectors>(chunk, row);
  }
  // The last ones in two halves: one or two rows alone would wait for their own sums.
  if (rows - row > kRows) {
    const int64_t half = DivideUp<int64_t>(rows - row, 2);
    MultiplyUpTo<Multiplier, kPrefetch, kRows, kVectors>(half, chunk, row);
    row += half;
  }
  if (row < rows) {
    MultiplyUpTo<Multiplier, kPrefetch, kRows, kVectors>(rows - row, chunk, row);
  }
}

// The panel of outputs [begin, begin + outputs) of the column block.
template <class Multiplier, Prefetch kPrefetch>
void RunPanel(const PanelProduct& product, int64_t begin, int64_t outputs, float* sums) {
  const float* const panel = product.weights + begin * product.words;
  const bool few = kPrefetch != Prefetch::kNextLines;
  const bool partial = product.sum_words > 0 && product.sum_words < product.words;
  const int64_t chunks = few ? 1 : DivideUp(product.words, kDepthBlock);
  const int64_t step = partial ? product.sum_words : DivideUp(product.words, chunks);
  for (int64_t word = 0; word < product.words; word += step) {
    const int64_t words = std::min(step, product.words - word);
    ForVectors(0, static_cast<int>(outputs), [&](auto vectors, int lane) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const DepthChunk chunk = {&product,
                                panel + word * kPanelWidth + lane,
                                word,
                                words,
                                begin + lane,
                                std::min<int64_t>(outputs - lane, kVectors * VectorLanes()),
                                sums + lane,
                                word == 0,
                                word + words == product.words,
                                partial};
      RunChunk<Multiplier, kPrefetch, kVectors>(chunk, product.rows);
    });
  }
}

template <class Multiplier, Prefetch kPrefetch>
void RunPanelsWith(const PanelProduct& product) {
  alignas(64) float sums[kRowBlock * kPanelWidth];
  for (int64_t begin = 0; begin < product.outputs; begin += kPanelWidth) {
    RunPanel<Multiplier, kPrefetch>(product, begin,
                                    std::min<int64_t>(kPanelWidth, product.outputs - begin), sums);
  }
}

template <class Multiplier>
void RunPanels(const PanelProduct& product) {
  if (product.rows > kFewRows) return RunPanelsWith<Multiplier, Prefetch::kNextLines>(product);
  switch (product.prefetch.level) {
    case PrefetchLevel::kNone:
      return RunPanelsWith<Multiplier, Prefetch::kNone>(product);
    case PrefetchLevel::kFirst:
      return RunPanelsWith<Multiplier, Prefetch::kFirst>(product);
    case PrefetchLevel::kSecond:
      return RunPanelsWith<Multiplier, Prefetch::kSecond>(product);
  }
}

void RunPanelProductSimd(const PanelProduct& product) {
#if HWY_TARGET == HWY_AVX3
  if (product.bfloat16_pairs) return RunPanels<BFloat16Multiplier>(product);
#endif
  RunPanels<FloatMultiplier>(product);
}

int64_t PanelWidthSimd() {
  return kPanelWidth;
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend::internal {

HWY_EXPORT(RunPanelProductSimd);
HWY_EXPORT(PanelWidthSimd);

int64_t PanelWidth() {
  return ATTEND_DISPATCH(PanelWidthSimd)();
}

void RunPanelProduct(const PanelProduct& product) {
  ATTEND_DISPATCH(RunPanelProductSimd)(product);
}

}  // namespace attend::internal
#endif  // HWY_ONCE
