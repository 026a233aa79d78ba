// SPDX-License-Identifier: Apache-2.0
#include "core/exec/execution_context.h"

#include <algorithm>

namespace attend {

RetainedMemory RetainedMemory::Within(int64_t total_bytes, int workers) {
  RetainedMemory retained;
  retained.caller_bytes = std::min(retained.caller_bytes, total_bytes / 5 * 4);
  retained.worker_bytes =
      std::min(retained.worker_bytes, total_bytes / 5 / std::max(workers - 1, 1));
  return retained;
}

void ExecutionContext::Trim() {
  arenas_.front().Trim(retained_.caller_bytes);
  for (int i = 1; i < static_cast<int>(arenas_.size()); ++i) {
    arenas_[i].Trim(i < workers() ? retained_.worker_bytes : 0);
  }
}

}  // namespace attend
