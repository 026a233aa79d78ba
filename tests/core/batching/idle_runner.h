// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_BATCHING_IDLE_RUNNER_H_
#define ATTEND_TESTS_CORE_BATCHING_IDLE_RUNNER_H_

#include "core/batching/work_item.h"

namespace attend {

// A runner of batches whose work is never looked at.
class IdleRunner final : public BatchRunner {
  bool Run(int, TaskGate&) override { return true; }
};

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_BATCHING_IDLE_RUNNER_H_
