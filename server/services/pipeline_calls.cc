// SPDX-License-Identifier: Apache-2.0
#include "server/services/pipeline_calls.h"

namespace attend {

bool PipelineCalls::Add(Drainable& call) {
  MutexLock lock(mutex_);
  if (!draining_) calls_.insert(&call);
  return !draining_;
}

void PipelineCalls::Remove(Drainable& call) {
  MutexLock lock(mutex_);
  calls_.erase(&call);
}

void PipelineCalls::Drain() {
  MutexLock lock(mutex_);
  draining_ = true;
  for (Drainable* call : calls_) call->Drain();
}

}  // namespace attend
