// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_PIPELINE_CALLS_H_
#define ATTEND_SERVER_SERVICES_PIPELINE_CALLS_H_

#include "absl/container/flat_hash_set.h"
#include "core/base/mutex.h"

namespace attend {

// A call that stays open after its requests were answered.
class Drainable {
 public:
  virtual ~Drainable() = default;

  // Takes no more requests, and ends once all of them are answered. Thread-safe; must not block.
  virtual void Drain() = 0;
};

// The streams that are open, so that a server that drains can tell them. Thread-safe.
class PipelineCalls {
 public:
  // False if the server drains: the call is not kept then.
  bool Add(Drainable& call);
  // Does nothing for a call that is not kept. The call may end once this has returned.
  void Remove(Drainable& call);

  // Tells every call, and takes no more.
  void Drain();

 private:
  Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<Drainable*> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_PIPELINE_CALLS_H_
