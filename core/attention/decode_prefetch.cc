// SPDX-License-Identifier: Apache-2.0
#include "core/attention/decode_prefetch.h"

#include <cmath>
#include <cstring>

#include "core/attention/kernels/kernel.h"
#include "core/attention/problem.h"
#include "core/attention/query_tile.h"
#include "core/attention/state.h"
#include "core/base/aligned_buffer.h"
#include "core/base/arena.h"

namespace attend::internal {
namespace {

// A decode step of one query row with 32 heads that share 8 heads of keys and values, as in a
// common large model. Keys and values, heads first, lie in one block of memory. Everything is 0:
// speed does not depend on the numbers.
class DecodeStep {
 public:
  DecodeStep()
      : cache_(2 * kCacheElements * sizeof(float)),
        query_(kQueryElements * sizeof(float)),
        state_(StateBytes(kHeads, kHeadDim)) {
    std::memset(cache_.data(), 0, cache_.size());
    std::memset(query_.data(), 0, query_.size());
    params_.scale = 1.0f / std::sqrt(static_cast<float>(kHeadDim));
    problem_.params = &params_;
    problem_.num_heads = kHeads;
    problem_.num_kv_heads = kKvHeads;
    problem_.head_dim = problem_.value_head_dim = kHeadDim;
    sequence_.query_length = 1;
    sequence_.key_length = kKeys;
    sequence_.query = {query_.data(), kQueryElements, kHeadDim};
    sequence_.key = {cache_.data(), kHeadDim, kKeys * kHeadDim};
    sequence_.value = {cache_.data() + cache_.size() / 2, kHeadDim, kKeys * kHeadDim};
    tile_.problem = &problem_;
    tile_.sequence = &sequence_;
    tile_.query_rows = 1;
    tile_.heads = kHeads;
  }

  // Seconds of the step when keys and values come from memory.
  double Time(const PrefetchPolicy& policy) {
    const AttentionState to = PlaceState(state_.data(), kHeads, kHeadDim);
    return TimeColdRead(cache_.data(), cache_.size(),
                        [&] { DecodeState(tile_, Arithmetic::kFloat32, policy, to, arena_); });
  }

 private:
  static constexpr int64_t kHeads = 32, kKvHeads = 8, kHeadDim = 128, kKeys = 256;
  static constexpr int64_t kCacheElements = kKvHeads * kKeys * kHeadDim;
  static constexpr int64_t kQueryElements = kHeads * kHeadDim;

  AlignedBuffer cache_, query_, state_;
  AttentionParams params_;
  AttentionProblem problem_;
  SequenceProblem sequence_;
  QueryTile tile_;
  Arena arena_;
};

}  // namespace

absl::Span<const PrefetchPolicy> DecodePrefetchCandidates() {
  static constexpr PrefetchPolicy kCandidates[] = {{PrefetchLevel::kFirst, 8192},
                                                   {PrefetchLevel::kNone, 8192},
                                                   {PrefetchLevel::kFirst, 16384},
                                                   {PrefetchLevel::kSecond, 8192},
                                                   {PrefetchLevel::kSecond, 16384}};
  return kCandidates;
}

PrefetchPolicy ChooseDecodePrefetch() {
  DecodeStep step;
  return ChoosePrefetch(DecodePrefetchCandidates(),
                        [&](const PrefetchPolicy& candidate) { return step.Time(candidate); });
}

}  // namespace attend::internal
