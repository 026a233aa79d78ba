// SPDX-License-Identifier: Apache-2.0

// Values that are not finite. P = 0 times NaN or infinity would be NaN, so such values must not
// reach rows that do not read their keys. Blocks that contain some are multiplied with 0 in
// their place, and the products with them are added for the rows that do read them.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_NON_FINITE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_NON_FINITE_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_NON_FINITE_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_NON_FINITE_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/attention/kernels/head_rows.h"
#include "core/attention/kernels/tile_state.h"
#include "core/simd/vectors-inl.h"
#include "core/tensor/convert.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Whether any of the n numbers has all bits of the exponent set.
template <typename Bits>
bool HasExponent(const std::byte* numbers, int64_t n, Bits exponent) {
  const hn::ScalableTag<Bits> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const Bits* bits = reinterpret_cast<const Bits*>(numbers);
  const auto all = hn::Set(d, exponent);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto found = hn::Eq(hn::And(hn::LoadU(d, bits + i), all), all);
    if (!hn::AllFalse(d, found)) return true;
  }
  for (; i < n; ++i) {
    if ((bits[i] & exponent) == exponent) return true;
  }
  return false;
}

inline bool HasNonFinite(const TileState& state, const HeadRows& values) {
  const int64_t width = state.problem.value_head_dim;
  const DataType type = state.problem.input_type;
  for (int i = 0; i < values.rows; ++i) {
    const std::byte* row = values.data + i * values.row_stride;
    const bool found =
        type == DataType::kFloat32
            ? HasExponent<uint32_t>(row, width, 0x7f800000)
            : HasExponent<uint16_t>(row, width, type == DataType::kBFloat16 ? 0x7f80 : 0x7c00);
    if (found) return true;
  }
  return false;
}

// Sets non-finite numbers to 0 in rows of floats.
inline void ClearNonFinite(const TileState& state, int rows, float* floats) {
  for (int i = 0; i < rows; ++i) {
    float* row = floats + i * state.memory.row_floats;
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      if (!std::isfinite(row[d])) row[d] = 0.0f;
    }
  }
}

// Sets non-finite numbers to 0 in words of two rows of bfloat16, in memory.packed_values.
inline void ClearNonFinitePairs(const TileState& state, int rows) {
  for (int i = 0; i < rows; ++i) {
    uint32_t* words =
        reinterpret_cast<uint32_t*>(state.memory.packed_values + i * state.memory.row_floats);
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      if ((words[d] & 0x7f80u) == 0x7f80u) words[d] &= 0xffff0000u;
      if ((words[d] & 0x7f800000u) == 0x7f800000u) words[d] &= 0x0000ffffu;
    }
  }
}

// Copies bfloat16 values to memory.widened with non-finite ones replaced by 0.
inline void CopyFinite(const TileState& state, const HeadRows& values) {
  for (int i = 0; i < values.rows; ++i) {
    const std::byte* from = values.data + i * values.row_stride;
    uint16_t* to = reinterpret_cast<uint16_t*>(state.memory.widened + i * state.memory.row_floats);
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      uint16_t value;
      std::memcpy(&value, from + d * 2, sizeof(value));
      to[d] = (value & 0x7f80u) == 0x7f80u ? 0 : value;
    }
  }
}

// P of a key for a row, unpacked from words that hold kKeys keys each.
template <int kKeys>
float UnpackProbability(const float* s, int key, int row) {
  if (kKeys == 1) return s[key * kTileRows + row];
  uint32_t word;
  std::memcpy(&word, s + (key / 2) * kTileRows + row, sizeof(word));
  return BFloat16ToFloat(static_cast<uint16_t>(key % 2 == 0 ? word : word >> 16));
}

// Adds the products with non-finite values to the outputs of the rows of [begin, end) that read
// their keys. index(row, d) is the index of a feature's sum in memory.outputs.
template <class Multiplier, class Index>
void AddNonFinite(const TileState& state, const HeadRows& values, int begin, int end,
                  const Index& index) {
  const TileMemory& m = state.memory;
  for (int i = 0; i < values.rows; ++i) {
    const std::byte* const from = values.data + i * values.row_stride;
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      const float value = LoadFloat(state.problem.input_type, from, d);
      if (std::isfinite(value)) continue;
      for (int row = begin; row < end; ++row) {
        if (((m.bits[i] >> row) & 1) == 0) continue;
        m.outputs[index(row, d)] +=
            UnpackProbability<Multiplier::kElementsPerWord>(m.scores, i, row) * value;
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
