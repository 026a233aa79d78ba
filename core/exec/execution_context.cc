#include "core/exec/execution_context.h"

namespace attend {

void ExecutionContext::Trim() {
  arenas_.front().Trim(kMaxRetainedByCaller);
  for (int worker = 1; worker < workers(); ++worker) arenas_[worker].Trim(kMaxRetainedByWorker);
}

}  // namespace attend
