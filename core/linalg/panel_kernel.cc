// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/panel_kernel.h"

#include <algorithm>
#include <type_traits>

#include "core/base/math.h"
#include "core/simd/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/linalg/panel_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/linalg/depth_chunk-inl.h"
#include "core/simd/products-inl.h"
#include "core/simd/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Words of a panel that all rows of a row block are multiplied with before the next ones:
// 128 KiB with AVX-512, which stay in the second-level cache beside the rows. That cache
// gives 64 bytes per cycle and six rows need 21, so smaller blocks for the first level
// gain nothing: measured, 128 words are 3 % slower and 768 no faster.
constexpr int64_t kDepthBlock = 512;

// One register block: rows [row, row + kRows) times kVectors vectors of lanes. It is not inlined:
// the blocks of every number of rows would be one function, which takes a compiler minutes under a
// sanitizer.
template <class Multiplier, Prefetch kPrefetch, int kRows, int kVectors>
HWY_NOINLINE void MultiplyRows(const DepthChunk& chunk, int64_t row) {
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
  } else if constexpr (kPrefetch == Prefetch::kNone) {
    AddProducts<Multiplier, kPanelWidth>(chunk.panel, rows, chunk.words, sums, NoPrefetch());
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
