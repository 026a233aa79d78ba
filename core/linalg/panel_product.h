// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_PANEL_PRODUCT_H_
#define ATTEND_CORE_LINALG_PANEL_PRODUCT_H_

#include <cstddef>
#include <cstdint>

#include "core/simd/prefetch.h"
#include "core/tensor/tensor.h"

namespace attend::internal {

// The matmul y = x W^T + b by our own kernel. A word is four bytes of a row: a
// float, or two bfloat16 of neighbouring inputs. The loops, from the outermost in:
//
//   row blocks      kRowBlock rows        each pair of a row block and
//   column blocks   kColumnBlock outputs  a column block is one task
//   panels          PanelWidth() outputs, which occupy the lanes of vectors
//   depth blocks    kDepthBlock words     (panel_kernel.cc)
//   register blocks 6 to 12 rows times a panel, whose sums stay in registers
//   words           one broadcast per row, one multiply-add per row and vector
//
// Sums of a row block and a panel wait in memory between depth blocks.

// A column block of K = 768 in float32 (192 KiB) is read from the third-level cache in
// 40 us of arithmetic, 5 GB/s per thread; 96 rows of x (288 KiB) stay in a second-level
// cache of 1 MiB while the column blocks pass by, and their sums (24 KiB) on the stack.
// Measured with 4,096 rows: 48, 192 and 384 rows are slower by 1 to 4 %.
inline constexpr int64_t kRowBlock = 96;
inline constexpr int64_t kColumnBlock = 64;

// Up to so many rows, a product streams its weights at the speed of memory.
inline constexpr int64_t kFewRows = 12;

// One row block times one column block.
struct PanelProduct {
  bool bfloat16_pairs = false;                // words are pairs of bfloat16; needs avx512_bf16
  int64_t rows = 0;                           // 1..kRowBlock
  int64_t words = 0;                          // per row of x; >= 1
  const std::byte* const* x = nullptr;        // [rows], each `words` words, of any alignment
  std::byte* const* y = nullptr;              // [rows], each a whole row of y
  DataType output_type = DataType::kFloat32;  // or kBFloat16
  // Words of one partial sum; 0: all. Each partial sum starts from 0, and they are added in
  // the order of their words.
  int64_t sum_words = 0;
  int64_t first_output = 0;  // of the column block, in a row of y
  int64_t outputs = 0;       // 1..kColumnBlock, those of the block that exist
  // [kColumnBlock / PanelWidth()][words][PanelWidth()] and [kColumnBlock], 64-byte aligned.
  const float* weights = nullptr;
  const float* bias = nullptr;
  PrefetchPolicy prefetch;  // of the weights, where kFewRows rows and fewer stream them
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_PANEL_PRODUCT_H_
