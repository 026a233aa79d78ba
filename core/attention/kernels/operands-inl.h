// SPDX-License-Identifier: Apache-2.0

// Loads a tile's queries and keys: converts them to words unless they can be multiplied as they
// are in memory.

#if defined(ATTEND_CORE_ATTENTION_KERNELS_OPERANDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_ATTENTION_KERNELS_OPERANDS_INL_H_
#undef ATTEND_CORE_ATTENTION_KERNELS_OPERANDS_INL_H_
#else
#define ATTEND_CORE_ATTENTION_KERNELS_OPERANDS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/attention/kernels/head_rows.h"
#include "core/attention/kernels/tile_state.h"
#include "core/simd/products-inl.h"
#include "core/simd/vectors-inl.h"
#include "core/tensor/convert.h"

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Whether keys, and in decode values too, can be multiplied as they are in memory.
template <class Multiplier>
bool MultipliesInMemory(const TileState& state) {
  return Multiplier::kElementsPerWord == 2 || state.problem.input_type == DataType::kFloat32;
}

// Converts rows to float32 in `to`, one of the memory's matrices of rows.
inline WordRows Widen(const TileState& state, const HeadRows& rows, int64_t width, float* to) {
  const TileMemory& m = state.memory;
  for (int i = 0; i < rows.rows; ++i) {
    ConvertToFloat(state.problem.input_type, rows.data + i * rows.row_stride, to + i * m.row_floats,
                   width);
  }
  return {reinterpret_cast<const std::byte*>(to), m.row_floats * 4, width};
}

// One head's keys as words: as they are in memory, or converted.
template <class Multiplier>
WordRows LoadKeys(const TileState& state, KeyRange keys, int head) {
  const int64_t width = state.problem.head_dim;
  const HeadRows rows = FindRows(state, state.sequence.key, keys, head, width);
  if (!MultipliesInMemory<Multiplier>(state))
    return Widen(state, rows, width, state.memory.widened);
  return {rows.data, rows.row_stride, width / Multiplier::kElementsPerWord};
}

// to[0, D / elements of a word) = the words of the row's query.
template <class Multiplier>
void LoadQuery(const TileState& state, int row, float* to) {
  const int64_t element = static_cast<int64_t>(ElementSize(state.problem.input_type));
  const std::byte* const from =
      state.problem.QueryRow(state.sequence, state.tile.head(row), state.tile.query_row(row));
  if constexpr (Multiplier::kElementsPerWord == 2) {
    std::memcpy(to, from, state.problem.head_dim * element);
  } else {
    ConvertToFloat(state.problem.input_type, from, to, state.problem.head_dim);
  }
}

// Multiplies the words of queries by query_factor.
template <class Multiplier>
void ScaleQueries(const TileState& state, int64_t words) {
  if (state.query_factor == 1.0f) return;
  float* q = state.memory.queries;
  for (int64_t i = 0; i < words; ++i) {
    if constexpr (Multiplier::kElementsPerWord == 2) {  // the factor is -1
      uint32_t word;
      std::memcpy(&word, q + i, sizeof(word));
      word ^= 0x80008000u;
      std::memcpy(q + i, &word, sizeof(word));
    } else {
      q[i] *= state.query_factor;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
