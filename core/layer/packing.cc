#include "core/layer/packing.h"

namespace attend::internal {
void Packing::Plan(absl::Span<const LayerItem* const> items) {
  sequences.clear();
  self_rows = query_rows = cross_rows = 0;
  for (const bool self : {true, false}) {
    for (const LayerItem* item : items) {
      for (const LayerSequence& sequence : item->sequences) {
        if ((sequence.key_source == KeySource::kQueryRows) != self) continue;
        sequences.push_back({item, &sequence, self, query_rows, self ? query_rows : cross_rows});
        query_rows += sequence.query_length;
        if (!self) cross_rows += sequence.key_length;
      }
    }
    if (self) self_rows = query_rows;
  }
}

}  // namespace attend::internal
