// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_LAYER_ITEM_H_
#define ATTEND_CORE_LAYER_LAYER_ITEM_H_

#include <cstddef>
#include <vector>

#include "core/attention/problem.h"
#include "core/tensor/tensor.h"

namespace attend {

// The source of the rows that keys and values are projected from.
enum class KeySource {
  kQueryRows,  // self-attention: the query's rows
  kOwnRows,    // rows of their own
};

// One sequence of an item: its arguments, and the addresses of its rows. Rows are contiguous, of
// the item's data type.
struct LayerSequence : SequenceArgs {
  LayerSequence() = default;
  explicit LayerSequence(const SequenceArgs& args) : SequenceArgs(args) {}

  KeySource key_source = KeySource::kQueryRows;
  const std::byte* query = nullptr;  // [Lq, embed_dim]
  const std::byte* key = nullptr;    // [Lk, key_dim], with kOwnRows
  const std::byte* value = nullptr;  // [Lk, value_dim], with kOwnRows; may be the key's
  std::byte* output = nullptr;       // [Lq, embed_dim]
};

// One request to a layer. The params are borrowed.
struct LayerItem {
  DataType type = DataType::kFloat32;  // type of query, key, value and output
  const AttentionParams* params = nullptr;
  std::vector<LayerSequence> sequences;
};

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_LAYER_ITEM_H_
