// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_COST_H_
#define ATTEND_CORE_ATTENTION_COST_H_

#include <cstdint>

#include "core/attention/problem.h"

namespace attend {

// The cost of attention, from shapes and options alone. Pure, thread-safe.

// Floating-point operations that a core computes in about the time that it takes to read one
// byte from memory (200 GFLOP/s beside 25 GB/s). A decode over long keys is bound by reading
// them and would look almost free by its operations alone.
inline constexpr int64_t kOperationsPerByte = 8;

// Query rows that a core computes in about the time that it takes to read the keys and values
// from memory: a row takes two operations per element of a key or value, and an element has two
// bytes or more. A single row therefore takes as long as this many.
inline constexpr int64_t kRowsOfMemoryTime = kOperationsPerByte * 2 / 2;

// The number of elements that causal and windows leave readable in one head's matrix of scores:
// the sum over query rows of the keys that the row may read. Masks do not count.
double CountReadableElements(const AttentionParams& params, const SequenceArgs& sequence);

// Floating-point operations of a sequence: 2 * (D + Dv) per readable element of each head
// whose gate is not 0.
double AttentionFlops(const HeadShape& heads, const AttentionParams& params,
                      const SequenceArgs& sequence);

// Bytes of a sequence's query, key and value rows in data type `type`.
double AttentionBytes(const HeadShape& heads, DataType type, const SequenceArgs& sequence);

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_COST_H_
