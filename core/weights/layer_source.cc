// SPDX-License-Identifier: Apache-2.0
#include "core/weights/layer_source.h"

#include <cstddef>

namespace attend {

void SplitStacked(const std::vector<float>& stacked, std::vector<float>& query,
                  std::vector<float>& key, std::vector<float>& value) {
  const auto third = static_cast<std::ptrdiff_t>(stacked.size() / 3);
  query.assign(stacked.begin(), stacked.begin() + third);
  key.assign(stacked.begin() + third, stacked.begin() + 2 * third);
  value.assign(stacked.begin() + 2 * third, stacked.end());
}

}  // namespace attend
