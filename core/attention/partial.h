#ifndef ATTEND_CORE_ATTENTION_PARTIAL_H_
#define ATTEND_CORE_ATTENTION_PARTIAL_H_

#include <cstddef>
#include <cstdint>

#include "core/attention/tile.h"
#include "core/base/scratch.h"

namespace attend::internal {

// What a range of keys gives to the rows of a tile, before the division by their sum.
// Ranges of keys are merged by their log-sum-exp, as FlashDecoding does ("Flash-Decoding
// for long-context inference", Dao and others, 2023). One entry or row a lane.
struct Partial {
  double* shift;    // the score that exponents were taken against; -inf: all were -inf
  float* sum;       // of e^(score - shift)
  float* values;    // [lanes][Dv]: of e^(score - shift) v
  uint64_t* lanes;  // one word: bit l is set where lane l read a key

  // Cuts it out of a block; with a null one it adds up what is needed.
  void Carve(Carver& carver, int lanes_of_tile, int64_t value_head_dim);
};

// Adds what another range of the tile's keys gives. to and from: of different memory.
void Merge(const Tile& tile, const Partial& to, const Partial& from);

// Output and log-sum-exp of the tile's rows, sinks and gates included, from what all of its
// keys give.
void WritePartial(const Tile& tile, const Partial& partial);

// ln(sum e^shift + e^sink); -inf for sum = 0 and no sink.
float LogSumExp(double shift, double sum, double sink);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_PARTIAL_H_
