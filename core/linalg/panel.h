#ifndef ATTEND_CORE_LINALG_PANEL_H_
#define ATTEND_CORE_LINALG_PANEL_H_

#include <cstddef>
#include <cstdint>

#include "core/tensor/tensor.h"

namespace attend::internal {

// Outputs that are computed together, for one block of rows. Their weights lie as the
// kernel of this CPU reads them: words of four bytes, a float or two bfloat16 of
// neighbouring inputs, [kStripOutputs / PanelLanes()][words][PanelLanes()].
inline constexpr int64_t kStripOutputs = 64;

// Rows of a block at most. A strip of K = 768 in float32 (192 KiB) is read from the
// third-level cache in 40 us of arithmetic, 5 GB/s a thread; 96 rows of x (288 KiB) stay
// in a second level of 1 MiB while strip after strip passes by, and their sums (24 KiB)
// on the stack. Measured, 4,096 rows: 48, 192 and 384 rows are slower by 1 to 4 %.
inline constexpr int64_t kStripRows = 96;

// The number of outputs whose words stand side by side. Divides kStripOutputs.
int64_t PanelLanes();

// Rows by pointer, or, without, `stride` bytes apart from `data`.
template <typename Byte>
struct StripRows {
  Byte* data = nullptr;
  int64_t stride = 0;
  Byte* const* pointers = nullptr;

  Byte* row(int64_t r) const { return pointers != nullptr ? pointers[r] : data + r * stride; }
};

struct StripProduct {
  bool pairs = false;            // words are pairs of bfloat16; needs avx512_bf16
  StripRows<const std::byte> x;  // no alignment needed
  StripRows<std::byte> y;        // whole rows of y
  int64_t rows = 0;              // 1..kStripRows
  int64_t words = 0;             // of a row of x
  const float* weights = nullptr;
  const float* bias = nullptr;                // [kStripOutputs]; it and weights on a cache line
  int64_t first_output = 0;                   // of the strip, in a row of y
  int64_t outputs = 0;                        // 1..kStripOutputs: those of the strip that exist
  DataType output_type = DataType::kFloat32;  // or kBFloat16
};

// y = x W^T + b. Each output is one float32 sum in the order of its words, whatever the
// rows beside it: the bits of a row of y depend on that row of x alone. Thread-safe,
// allocates nothing.
void RunStrip(const StripProduct& product);

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_PANEL_H_
