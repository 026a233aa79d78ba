// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_STATE_H_
#define ATTEND_CORE_ATTENTION_STATE_H_

#include <cstddef>
#include <cstdint>

#include "core/attention/query_tile.h"

namespace attend::internal {

// Unnormalised attention of a tile's rows over one range of keys. States of neighbouring ranges
// are merged by their log-sum-exp, as FlashDecoding does ("Flash-Decoding for long-context
// inference", Dao and others, 2023). Arrays have one element or row per row of the tile.
struct AttentionState {
  double* shift;        // exponents are of score - shift; -inf where all scores were -inf
  float* sum;           // sum of e^(score - shift)
  float* values;        // [rows][Dv]: the sum of e^(score - shift) v
  uint64_t* read_rows;  // one word: bit r is set if row r read a key
};

// The memory of a state, in bytes; a multiple of a cache line.
size_t StateBytes(int rows, int64_t value_head_dim);

// A state in `memory`, which has StateBytes bytes and begins on a cache line. Its contents are
// undefined.
AttentionState PlaceState(std::byte* memory, int rows, int64_t value_head_dim);

// Merges `from`, the state of another range of the tile's keys, into `to`. Their memory does not
// overlap.
void MergeStates(const QueryTile& tile, const AttentionState& to, const AttentionState& from);

// Writes output and log-sum-exp of the tile's rows, sinks and gates included, from the state of
// all keys.
void FinishState(const QueryTile& tile, const AttentionState& state);

// ln(sum * e^shift + e^sink); -inf for sum = 0 and no sink.
float LogSumExp(double shift, double sum, double sink);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_STATE_H_
