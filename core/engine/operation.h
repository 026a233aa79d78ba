#ifndef ATTEND_CORE_ENGINE_ENGINE_ITEM_H_
#define ATTEND_CORE_ENGINE_ENGINE_ITEM_H_

#include <optional>
#include <vector>

#include "core/batching/work_item.h"
#include "core/engine/engine.h"
#include "core/engine/plan.h"
#include "core/engine/request.h"

namespace attend {

// A request on its way through the engine: what it asks, what it holds, and the
// kernels' view of both. One thread at a time.
class EngineItem final : public Work {
 public:
  EngineItem(Request request, MemoryCharge charge, Engine::Done done);

  // Checks the request, charges and allocates what it needs. Call once, first.
  // On error only End may follow.
  absl::Status Prepare(const LayerRegistry& layers, const ShapeLimits& limits,
                       uint32_t priority_levels, MemoryBudget& budget);

  // nullptr: the bare operator.
  const Layer* layer() const { return layer_; }
  uint32_t priority() const;
  const Cost& cost() const { return cost_; }
  double flops() const { return flops_; }

  // What to run, of the kind that layer() says; nullptr where no row is asked for.
  const LayerItem* layer_item() const;
  const AttentionProblem* problem() const;

  void SetTiming(const Timing& timing) { response_.timing = timing; }

  // Answers with the response or the error. Frees what the request held before.
  void End(absl::Status status) override;

 private:
  absl::Status PrepareLayer(const MultiHeadAttentionRequest& request, const LayerRegistry& layers,
                            const ShapeLimits& limits, MemoryBudget& budget);
  absl::Status PrepareOperator(const ScaledDotProductAttentionRequest& request,
                               const ShapeLimits& limits);
  absl::Status Allocate(const Plan& plan);

  std::optional<Request> request_;
  MemoryCharge working_;
  Response response_;
  Engine::Done done_;
  const Layer* layer_ = nullptr;
  Plan plan_;  // what is run borrows from it
  LayerItem layer_item_;
  AttentionProblem problem_;
  std::vector<SequenceProblem> problem_sequences_;
  Cost cost_;
  double flops_ = 0.0;
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_ENGINE_ITEM_H_
