// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_RELATIVE_BIAS_H_
#define ATTEND_CORE_LAYER_RELATIVE_BIAS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/attention/problem.h"
#include "core/layer/layer_config.h"

namespace attend::internal {

// The learned bias of a layer by the distance j - p of key and query. Along a row of scores
// it is a range of one vector per head, and one row further that range starts one element
// earlier: a ScoreTerm with a row stride of -1 reads it in place, so a sequence needs Lq + Lk
// numbers per head, not Lq x Lk. Immutable, thread-safe.
class RelativeBias {
 public:
  // `weights` is [buckets, num_heads].
  RelativeBias(const RelativeBiasConfig& config, int64_t num_heads,
               absl::Span<const float> weights);

  // The bucket that a distance falls into. Half of the buckets hold one distance
  // each, the others grow logarithmically up to max_distance and hold all beyond
  // it; bidirectional: keys after the query have half of all buckets.
  static int64_t Bucket(const RelativeBiasConfig& config, int64_t distance);

  // The numbers that Fill writes for a sequence.
  int64_t CountElements(const SequenceArgs& sequence) const;

  // Writes them for head `head` of the sequence. `data` is that of all heads.
  void Fill(const SequenceArgs& sequence, int64_t head, float* data) const;

  // The bias of the sequence, from what Fill has written.
  ScoreTerm Term(const SequenceArgs& sequence, const float* data) const;

  int64_t num_heads() const { return num_heads_; }

 private:
  // The bias of distance 0; those of other distances are around it.
  const float* ByDistance(int64_t head) const;

  int64_t num_heads_;
  int64_t max_distance_;            // farther distances behave alike
  std::vector<float> by_distance_;  // [H, 2 * reach + 1], from -reach on
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_RELATIVE_BIAS_H_
