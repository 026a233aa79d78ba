// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_RATES_H_
#define ATTEND_CORE_ATTENTION_RATES_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "core/attention/kernels/kernel.h"
#include "core/attention/lengths.h"
#include "core/attention/problem.h"
#include "core/simd/cpu.h"

namespace attend {

// How long attention takes. The rates are measured; the prediction is a pure function of them,
// of shapes and of options. The plan of a computation never depends on either.

// Seconds that one worker takes for one unit of a kernel's work.
struct KernelRates {
  double multiply_add = 0.0;
  // Prefill: whatever a score takes beside its multiply-adds, such as its exponential. Decode:
  // adding up the lanes of the scores of up to four rows of a head, which takes one time for
  // them; exponentials take as long as in prefill.
  double score = 0.0;
};

struct AttentionRates {
  KernelRates prefill[3];  // indexed by internal::Arithmetic
  KernelRates decode[2];   // likewise; decode has no AMX

  double memory_byte = 0.0;         // one worker reads keys and values from memory
  double shared_memory_byte = 0.0;  // all cores read together: the memory's own rate
  double recent_byte = 0.0;         // one worker reads what a cache may still hold
  double recent_bytes = 0.0;        // the largest operands of a request that one may hold

  // Keys and values that are converted to float32 first: one row, one feature, and one byte from
  // memory, which this way does not prefetch.
  double convert_row = 0.0;
  double convert_feature = 0.0;
  double convert_memory_byte = 0.0;

  double feature = 0.0;   // one feature of a query or output row, beside the kernel's loops
  double term = 0.0;      // one element of a mask, a bias or ALiBi
  double softcap = 0.0;   // one score
  double weight = 0.0;    // one attention weight that is returned, beside computing its score
  double task = 0.0;      // one task of a worker
  double sequence = 0.0;  // planning one sequence
};

// What a prediction needs to know beside the sequences.
struct AttentionShape : HeadShape {
  AttentionShape(const HeadShape& heads, DataType of_type) : HeadShape(heads), type(of_type) {}

  DataType type;                   // of query, key, value and output
  bool has_relative_bias = false;  // a layer adds a bias of its own
};

// The time in seconds that `workers` workers should take for all sequences when nothing else
// runs. Finite and >= 0; 0 if no sequence has a query row.
double PredictAttention(const AttentionRates& rates, const CpuFeatures& cpu,
                        const AttentionShape& shape, const AttentionParams& params,
                        absl::Span<const PlacedSequence> sequences, int workers);

// The rates of this machine. The first call measures them by running the kernels on small
// problems, on one core and then on all, for about 50 ms. Thread-safe.
const AttentionRates& GetAttentionRates();

// The rates in one line, for a log: nanoseconds per 1,000 multiply-adds and per score of each
// kernel, and GB/s of memory.
std::string ToString(const AttentionRates& rates);

namespace internal {

// Measures. Not to be called while other threads compute.
AttentionRates MeasureAttentionRates();

// Floats in a vector of the widest kernel that this CPU runs.
int64_t CountVectorLanes(const CpuFeatures& cpu);

// Two measurements whose heads have few and many features, and equal numbers of scores.
struct KernelTimes {
  double narrow_multiply_adds = 0.0, wide_multiply_adds = 0.0;
  double narrow_seconds = 0.0, wide_seconds = 0.0;
  double scores = 0.0;
};
KernelRates FitKernelRates(const KernelTimes& times);

}  // namespace internal
}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_RATES_H_
