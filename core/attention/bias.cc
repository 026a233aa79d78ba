// SPDX-License-Identifier: Apache-2.0
#include "core/attention/bias.h"

#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

// Loads a row of a float term as float32.
void LoadTerm(const QueryTile& tile, const ScoreTerm& term, int row, KeyRange keys, float* values) {
  const std::byte* const data = tile.Address(term, row, keys.begin);
  if (term.key_stride == 1) return ConvertToFloat(term.type, data, values, keys.count);
  for (int i = 0; i < keys.count; ++i) values[i] = LoadFloat(term.type, data, i * term.key_stride);
}

}  // namespace

bool HasOneBiasRow(const QueryTile& tile) {
  const SequenceProblem& sequence = *tile.sequence;
  return tile.SharesRow(sequence.relative_bias) && tile.SharesRow(sequence.bias);
}

void LoadBias(const QueryTile& tile, int row, KeyRange keys, float* bias) {
  const ScoreTerm &relative = tile.sequence->relative_bias, &given = tile.sequence->bias;
  if (relative.data == nullptr) return LoadTerm(tile, given, row, keys, bias);
  LoadTerm(tile, relative, row, keys, bias);
  if (given.data == nullptr) return;
  float added[kKeyBlock];
  LoadTerm(tile, given, row, keys, added);
  for (int i = 0; i < keys.count; ++i) bias[i] += added[i];
}

}  // namespace attend::internal
