// SPDX-License-Identifier: Apache-2.0

// A depth block of a panel product: its operands, the prefetches beside its multiplications,
// and the last step, which writes sums to y.

#if defined(ATTEND_CORE_LINALG_DEPTH_CHUNK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_LINALG_DEPTH_CHUNK_INL_H_
#undef ATTEND_CORE_LINALG_DEPTH_CHUNK_INL_H_
#else
#define ATTEND_CORE_LINALG_DEPTH_CHUNK_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/linalg/panel_product.h"
#include "core/simd/bfloat16-inl.h"
#include "core/simd/vectors-inl.h"
#include "core/tensor/convert.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kPanelWidth = kMaxVectors * static_cast<int>(hn::MaxLanes(F32()));
static_assert(kColumnBlock % kPanelWidth == 0);

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
    ATTEND_UNROLL for (int i = 0; i < kWordLines; ++i) {
      const void* const at = reinterpret_cast<const std::byte*>(line) + i * 64;
      __builtin_prefetch(at, 0, kInto == Prefetch::kFirst ? 3 : 2);
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

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
