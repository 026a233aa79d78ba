// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_COST_H_
#define ATTEND_CORE_ATTENTION_COST_H_

#include <cstdint>

#include "core/attention/problem.h"

namespace attend {

// What attention costs, from shapes and options alone. Pure, thread-safe.

// Reading a byte from memory takes a core about as long as so many floating-point operations
// (200 GFLOP/s beside 25 GB/s). A decode over long keys is bound by reading them and would
// look almost free by its operations alone.
inline constexpr int64_t kOperationsPerByte = 8;

// A query row computes two operations per element of a key or value, which has two bytes or
// more. A single row therefore waits for memory about as long as so many rows are computed.
inline constexpr int64_t kRowsOfMemoryTime = kOperationsPerByte * 2 / 2;

// The elements of one head's matrix of scores that causal and windows let rows read: the
// sum over query rows of the keys that the row may read. Masks do not count.
double CountReadableElements(const AttentionParams& params, const SequenceArgs& sequence);

// Floating-point operations of a sequence: 2 * (D + Dv) per readable element of each head
// whose gate is not 0.
double AttentionFlops(const HeadShape& heads, const AttentionParams& params,
                      const SequenceArgs& sequence);

// Bytes of a sequence's query, key and value rows, of the data type `type`.
double AttentionBytes(const HeadShape& heads, DataType type, const SequenceArgs& sequence);

// The time, in floating-point operations, of what computes `flops` of them and reads `bytes`
// from memory meanwhile.
double PredictWork(double flops, double bytes);

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_COST_H_
