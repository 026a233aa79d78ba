// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_WARNINGS_H_
#define ATTEND_CORE_ENGINE_WARNINGS_H_

#include <string>
#include <vector>

#include "core/engine/checked_request.h"
#include "core/layer/layer_config.h"

namespace attend {

// What in a request to a layer is allowed, but is most probably a mistake: one sentence per
// finding, for people. Empty if there is none.
//
// A decoder layer's row that reads keys after its own position is a finding, because no token of
// the model does so. Requests with `causal`, a window that ends at the row, a mask or a bias have
// none: each can keep later keys from being read. Where a request need not say where its query
// rows stand among the keys, and does not, they count as the last ones. Pure, thread-safe.
std::vector<std::string> FindWarnings(const LayerConfig& layer, const CheckedRequest& checked);

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_WARNINGS_H_
