// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_BIAS_H_
#define ATTEND_CORE_ATTENTION_BIAS_H_

#include "core/attention/query_tile.h"

namespace attend::internal {

// The bias that is added to a tile's scores: the request's, a layer's relative bias, or the sum
// of both.

// Whether all rows of the tile share one row of the bias.
bool HasOneBiasRow(const QueryTile& tile);

// Loads the bias of one row of the tile as float32. Precondition: the sequence has a bias.
void LoadBias(const QueryTile& tile, int row, KeyRange keys, float* bias);

}  // namespace attend::internal

#endif  // ATTEND_CORE_ATTENTION_BIAS_H_
