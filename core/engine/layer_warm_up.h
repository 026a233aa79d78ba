// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_LAYER_WARM_UP_H_
#define ATTEND_CORE_ENGINE_LAYER_WARM_UP_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/attention/lengths.h"
#include "core/base/clock.h"
#include "core/base/memory_budget.h"
#include "core/engine/layer_runners.h"
#include "core/exec/executor_plan.h"
#include "core/layer/layer.h"
#include "core/layer/registry.h"

namespace attend {

// Computes requests of zeros before callers send theirs. The first request would otherwise pay for
// working memory that no executor has touched yet, and for what oneDNN needs per thread; and a
// layer that cannot be computed would first fail a caller. These requests are checked, predicted,
// charged and computed as callers' are, but they are neither queued nor told to an observer, and
// the predictions of later ones do not learn from them. Thread-safe.
class LayerWarmUp {
 public:
  // Leaves out what is predicted to end after `deadline`, a time of the clock. The references
  // outlive the warm-up.
  LayerWarmUp(const ShapeLimits& limits, MemoryBudget& budget, const Clock& clock,
              absl::Time deadline)
      : limits_(limits), budget_(budget), clock_(clock), deadline_(deadline) {}

  // Computes one row and then two short batches through the layer, on the calling thread and one
  // lane of the runner. Returns false if a request was left out, because it would end too late or
  // exceeds a limit or the memory budget. An error says which layer failed and how. Blocks.
  // Precondition: nothing else runs on the lane.
  absl::StatusOr<bool> RunLayer(const std::shared_ptr<const Layer>& layer, LayerRunner& runner,
                                int lane) const;

  // Runs each layer on the short lane of each executor. Executors work side by side, each on a
  // thread that is placed as the lane's own. Returns how many layers ran on all executors without
  // leaving anything out. Precondition: nothing else runs on the short lanes.
  absl::StatusOr<int64_t> RunAll(const LayerRegistry::Layers& layers, LayerRunners& runners,
                                 absl::Span<const ExecutorPlan> plans) const;

 private:
  absl::StatusOr<bool> RunRows(int64_t rows, const std::shared_ptr<const Layer>& layer,
                               LayerRunner& runner, int lane) const;

  const ShapeLimits& limits_;
  MemoryBudget& budget_;
  const Clock& clock_;
  const absl::Time deadline_;
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_LAYER_WARM_UP_H_
