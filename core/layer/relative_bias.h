// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_RELATIVE_BIAS_H_
#define ATTEND_CORE_LAYER_RELATIVE_BIAS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/attention/problem.h"
#include "core/layer/layer_config.h"

namespace attend::internal {

// The learned bias of a layer by the distance j - p of key and query. The bias along a row of
// scores is a range of one vector per head, and each further row starts one element earlier: a
// ScoreTerm with a row stride of -1 reads it in place, so a sequence needs Lq + Lk numbers per
// head, not Lq x Lk. Immutable, thread-safe.
class RelativeBias {
 public:
  // `weights` is [buckets, num_heads].
  RelativeBias(const RelativeBiasConfig& config, int64_t num_heads,
               absl::Span<const float> weights);

  // The bucket of a distance. Half of the buckets hold one distance each; the others grow
  // logarithmically up to max_distance and hold all distances beyond it. If bidirectional, keys
  // after the query have half of all buckets.
  static int64_t Bucket(const RelativeBiasConfig& config, int64_t distance);

  // The number of elements that Fill writes for a sequence.
  int64_t CountElements(const SequenceArgs& sequence) const;

  // Writes the elements of head `head` of the sequence. `data` points to those of all heads.
  void Fill(const SequenceArgs& sequence, int64_t head, float* data) const;

  // The bias of the sequence, from the elements that Fill has written.
  ScoreTerm Term(const SequenceArgs& sequence, const float* data) const;

  int64_t num_heads() const { return num_heads_; }

 private:
  // The bias of distance 0; other distances surround it in memory.
  const float* ByDistance(int64_t head) const;

  int64_t num_heads_;
  int64_t max_distance_;            // farther distances behave alike
  std::vector<float> by_distance_;  // [H, 2 * reach + 1], starting at -reach
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_RELATIVE_BIAS_H_
