// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_ROTARY_H_
#define ATTEND_CORE_LAYER_ROTARY_H_

#include <cstdint>
#include <vector>

#include "core/layer/layer_config.h"

namespace attend::internal {

// Cosines and sines of a rotary embedding, for any position.
//
// A table by position would grow with the longest sequence, in each layer, and would need a lock
// to grow under readers. Here a position is block * kBlock + step: the angles of a block's start
// are computed on use, those of the steps are kept, and the addition theorem joins the two, all
// in double. So the table is small and never changes, and a row's numbers depend on its position
// alone. Immutable, thread-safe.
class RotaryAngles {
 public:
  // 32 steps of 64 pairs (D = 128) fill 32 KiB, a first-level cache.
  static constexpr int64_t kBlock = 32;

  explicit RotaryAngles(const RotaryConfig& config);

  int64_t pairs() const { return static_cast<int64_t>(frequencies_.size()); }

  // The angles that positions block * kBlock to block * kBlock + kBlock - 1 share. The caller
  // owns the memory.
  struct Block {
    int64_t first = 0;      // position
    double* cos = nullptr;  // [pairs()]
    double* sin = nullptr;  // [pairs()]
  };

  // Sets `block` to the block of `position`.
  void Enter(int64_t position, Block& block) const;

  // Computes cos and sin of position * f_m for each pair. Precondition: `position` is in
  // `block`.
  void At(const Block& block, int64_t position, float* cos, float* sin) const;

 private:
  std::vector<double> frequencies_;
  std::vector<double> step_cos_, step_sin_;  // [kBlock, pairs]
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_ROTARY_H_
