// SPDX-License-Identifier: Apache-2.0
#include "core/engine/engine.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "core/attention/rates.h"
#include "core/base/quoted.h"
#include "core/base/status.h"
#include "core/batching/scheduler.h"
#include "core/engine/layer_runners.h"
#include "core/engine/layer_warm_up.h"
#include "core/engine/operator_operation.h"
#include "core/exec/execution_context.h"
#include "core/exec/executor_plan.h"
#include "core/exec/helpers.h"
#include "core/exec/topology.h"

namespace attend {
namespace {

// Executors may keep 1/kRetainedShare of the budget.
constexpr int64_t kRetainedShare = 8;

absl::StatusOr<std::vector<ExecutorPlan>> Plan(const EngineOptions& options) {
  return PlanExecutors(ReadTopology(), options.num_workers, options.executors);
}

EngineOptions Resolve(EngineOptions options, absl::Span<const ExecutorPlan> plans) {
  options.executors = static_cast<int>(plans.size());
  options.num_workers = 0;
  for (const ExecutorPlan& plan : plans) options.num_workers += plan.workers;
  return options;
}

// The memory that a lane of an executor with `workers` workers keeps. Short batches need little of
// it. The first long lane is the one in use if there is a single long batch; on the others, batches
// are rare.
RetainedMemory ChooseRetained(int lane, int64_t budget_bytes, int executors, int workers) {
  const int64_t bytes = budget_bytes / kRetainedShare / executors;
  const int quarters = lane == kShortLane ? 1 : lane == kShortLane + 1 ? 3 : 0;
  return RetainedMemory::Within(bytes / 4 * quarters, workers);
}

int64_t CountRetained(int64_t budget_bytes, absl::Span<const ExecutorPlan> plans) {
  const int executors = static_cast<int>(plans.size());
  int64_t total = 0;
  for (const ExecutorPlan& plan : plans) {
    for (int lane = 0; lane < kLanes; ++lane) {
      total += ChooseRetained(lane, budget_bytes, executors, plan.workers).TotalBytes(plan.workers);
    }
  }
  return total;
}

ShapeLimits MakeShapeLimits(const EngineOptions& options) {
  ShapeLimits limits;
  limits.max_sequence_length = options.max_sequence_length;
  limits.max_rows = std::max(options.max_sequence_length, options.max_batch_tokens);
  limits.max_sequences = limits.max_rows;
  limits.max_weights_bytes = options.max_weights_bytes;
  limits.max_heads = options.max_heads;
  limits.max_response_bytes = options.max_response_bytes;
  return limits;
}

SchedulerOptions MakeSchedulerOptions(const EngineOptions& options,
                                      const std::vector<ExecutorPlan>& plans,
                                      const MemoryBudget& budget) {
  SchedulerOptions scheduling;
  scheduling.batch.max_requests = options.batching ? options.max_batch_requests : 1;
  scheduling.batch.max_tokens = options.max_batch_tokens;
  scheduling.batch.target = options.batch_target;
  scheduling.batch.max_time = options.short_limit;
  scheduling.short_limit = options.short_limit;
  scheduling.turns.long_share = options.long_share;
  scheduling.aging = options.priority_aging;
  scheduling.queue.max_requests = options.max_queue_requests;
  scheduling.queue.max_expected = options.max_queue_time;
  scheduling.queue.target_delay = options.max_queue_delay;
  scheduling.queue.max_bytes = budget.request_bytes();
  scheduling.executors = options.executors;
  // A lane's thread is worker 0 of its context.
  scheduling.on_lane_start = [plans](int lane) { PinThisThread(plans[lane / kLanes].cpus); };
  return scheduling;
}

// One context per lane, which all other executors may help. The memory that they retain is
// reserved.
std::deque<ExecutionContext> MakeContexts(absl::Span<const ExecutorPlan> plans,
                                          const EngineOptions& options, MemoryBudget& budget) {
  const int64_t budget_bytes = budget.request_bytes();
  budget.Reserve(CountRetained(budget_bytes, plans));
  const int executors = static_cast<int>(plans.size());
  std::deque<ExecutionContext> contexts;
  for (const ExecutorPlan& plan : plans) {
    for (int lane = 0; lane < kLanes; ++lane) {
      contexts.emplace_back(plan.workers,
                            ChooseRetained(lane, budget_bytes, executors, plan.workers), plan.cpus,
                            options.before_task, options.num_workers - plan.workers);
    }
  }
  return contexts;
}

absl::Status LayerNotFound(absl::string_view name) {
  return MakeError(absl::StatusCode::kNotFound, "UNKNOWN_LAYER", "layer",
                   absl::StrCat("layer: no layer is named ", Quoted(name),
                                "; LayerService.ListLayers lists the names"));
}

// Refuses a request that is predicted to compute for longer than `limit`, whatever else runs.
absl::Status CheckCompute(const Operation& operation, absl::Duration limit) {
  const double seconds = operation.cost().seconds + operation.runner().batch_seconds();
  if (seconds <= absl::ToDoubleSeconds(limit)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "TOO_COSTLY", "",
                   absl::StrFormat("the request is predicted to compute for %.3g seconds; a "
                                   "request may compute for %.3g seconds on this server",
                                   seconds, absl::ToDoubleSeconds(limit)));
}

}  // namespace

class Engine::Impl {
 public:
  Impl(const EngineOptions& options, const LayerRegistry& layers, MemoryBudget& budget,
       const Clock& clock, BatchObserver* observer)
      : plans_(Plan(options).value()),
        options_(Resolve(options, plans_)),
        limits_(MakeShapeLimits(options_)),
        budget_(budget),
        contexts_(MakeContexts(plans_, options_, budget)),
        helpers_(plans_),
        operator_runner_(contexts_),
        clock_(clock),
        layers_(layers),
        layer_runners_(MakeLayerRunners(layers, contexts_)),
        max_heads_(FindMaxHeads()),
        scheduler_(MakeOptions(), clock, observer) {
    GetAttentionRates();  // measured now, and not by the first request
  }

  Ticket Submit(Request request, MemoryCharge charge, absl::Time deadline, Done done,
                int64_t* needed_bytes) {
    const Priority priority = GetPriority(request);
    absl::StatusOr<std::unique_ptr<Operation>> operation =
        Accept(std::move(request), charge, needed_bytes);
    if (!operation.ok()) {
      charge = MemoryCharge();
      done(operation.status());
      return 0;
    }
    Quota* const quota = charge.quota();  // lives as long as the operation
    WorkItem item;
    item.runner = &(*operation)->runner();
    item.priority = priority;
    item.caller = charge.caller();
    item.cost = (*operation)->cost();
    item.cost.bytes = charge.bytes();
    item.deadline = deadline;
    (*operation)->Accept(std::move(charge), std::move(done));
    item.work = *std::move(operation);
    const absl::StatusOr<uint64_t> id = scheduler_.Submit(item);
    if (id.ok()) return *id;
    if (quota != nullptr) quota->Refund(item.cost.seconds);
    item.work->End(id.status());
    return 0;
  }

  absl::StatusOr<int64_t> WarmUpAll(absl::Duration limit) {
    return MakeWarmUp(limit).RunAll(layers_.layers(), layer_runners_, plans_);
  }

  absl::Status WarmUpLayer(const Layer& layer, absl::Duration limit) {
    const auto runner = layer_runners_.find(layer.config().name);
    if (runner == layer_runners_.end()) return LayerNotFound(layer.config().name);
    // Not on the executors' contexts, which are in use.
    std::deque<ExecutionContext> contexts;
    contexts.emplace_back(1, RetainedMemory(), CpuList(), options_.before_task);
    LayerRunner own_runner(runner->second.rates(), contexts);
    const std::shared_ptr<const Layer> borrowed(std::shared_ptr<const Layer>(), &layer);
    return MakeWarmUp(limit).RunLayer(borrowed, own_runner, 0).status();
  }

  absl::Status CheckRoom(CallerId caller) const {
    ATTEND_RETURN_IF_ERROR(scheduler_.CheckRoom(caller));
    return budget_.CheckRoom(caller);
  }

  bool HasRoom(int64_t bytes, CallerId caller) const {
    return scheduler_.CheckRoom(caller).ok() && budget_.HasRoom(bytes, caller);
  }

  Scheduler& scheduler() { return scheduler_; }
  const Scheduler& scheduler() const { return scheduler_; }
  MemoryBudget& budget() const { return budget_; }
  const EngineOptions& options() const { return options_; }
  const ShapeLimits& shape_limits() const { return limits_; }

  int64_t max_heads() const { return max_heads_; }

 private:
  SchedulerOptions MakeOptions() {
    SchedulerOptions options = MakeSchedulerOptions(options_, plans_, budget_);
    options.help = [this](int executor, int lane, const std::atomic<int>& helped) {
      helpers_.Help(executor, lane / kLanes, contexts_[lane],
                    [&helped, lane] { return helped.load(std::memory_order_relaxed) == lane; });
    };
    return options;
  }

  LayerWarmUp MakeWarmUp(absl::Duration limit) const {
    return LayerWarmUp(limits_, budget_, clock_, clock_.Now() + limit);
  }

  int64_t FindMaxHeads() const {
    int64_t heads = limits_.max_heads;
    for (const auto& [name, entry] : layers_.layers()) {
      heads = std::max(heads, entry.layer->config().num_heads);
    }
    return heads;
  }

  // Checks the request, and charges what it takes: predicted time to the quota of the charge, and
  // all memory at once, so that no request holds a part and waits for another.
  absl::StatusOr<std::unique_ptr<Operation>> Accept(Request request, MemoryCharge& charge,
                                                    int64_t* needed_bytes) {
    ATTEND_ASSIGN_OR_RETURN(std::unique_ptr<Operation> operation,
                            MakeOperation(std::move(request)));
    ATTEND_RETURN_IF_ERROR(CheckCompute(*operation, options_.max_request_compute));
    const Cost& cost = operation->cost();
    if (needed_bytes != nullptr) *needed_bytes = charge.bytes() + cost.bytes;
    Quota* const quota = charge.quota();
    if (quota != nullptr) ATTEND_RETURN_IF_ERROR(quota->Spend(cost.seconds));
    if (absl::Status full = charge.Grow(cost.bytes); !full.ok()) {
      if (quota != nullptr) quota->Refund(cost.seconds);
      return full;
    }
    return operation;
  }

  absl::StatusOr<std::unique_ptr<Operation>> MakeOperation(Request request) {
    return std::visit(
        [this](auto&& typed) { return MakeTyped(std::forward<decltype(typed)>(typed)); },
        std::move(request));
  }

  absl::StatusOr<std::unique_ptr<Operation>> MakeTyped(MultiHeadAttentionRequest request) {
    const auto runner = layer_runners_.find(request.layer);
    if (runner == layer_runners_.end()) return LayerNotFound(request.layer);
    std::shared_ptr<const Layer> layer = layers_.Find(request.layer);
    return LayerOperation::Create(std::move(request), std::move(layer), runner->second, limits_);
  }

  absl::StatusOr<std::unique_ptr<Operation>> MakeTyped(ScaledDotProductAttentionRequest request) {
    return OperatorOperation::Create(std::move(request), operator_runner_, limits_);
  }

  const std::vector<ExecutorPlan> plans_;
  const EngineOptions options_;
  const ShapeLimits limits_;
  MemoryBudget& budget_;
  std::deque<ExecutionContext> contexts_;  // indexed by lane
  Helpers helpers_;
  OperatorRunner operator_runner_;
  const Clock& clock_;
  const LayerRegistry& layers_;
  LayerRunners layer_runners_;
  const int64_t max_heads_;
  Scheduler scheduler_;  // last: its threads use all of the above
};

absl::Status CheckExecutors(const EngineOptions& options) {
  return Plan(options).status();
}

int64_t EngineRetainedBytes(const EngineOptions& options, int64_t budget_bytes) {
  return CountRetained(budget_bytes, Plan(options).value());
}

Engine::Engine(const EngineOptions& options, const LayerRegistry& layers, MemoryBudget& budget,
               const Clock& clock, BatchObserver* observer)
    : impl_(std::make_unique<Impl>(options, layers, budget, clock, observer)) {}

Engine::~Engine() = default;

MemoryBudget& Engine::budget() {
  return impl_->budget();
}

absl::Status Engine::Admit(CallerId caller, Quota* quota) const {
  if (quota != nullptr) ATTEND_RETURN_IF_ERROR(quota->CheckRoom());
  return impl_->CheckRoom(caller);
}

bool Engine::HasRoom(int64_t bytes, CallerId caller, Quota* quota) const {
  return (quota == nullptr || quota->HasRoom(bytes)) && impl_->HasRoom(bytes, caller);
}

bool Engine::Overloaded() const {
  return impl_->scheduler().overloaded();
}

Engine::Ticket Engine::Submit(Request request, MemoryCharge charge, absl::Time deadline, Done done,
                              int64_t* needed_bytes) {
  return impl_->Submit(std::move(request), std::move(charge), deadline, std::move(done),
                       needed_bytes);
}

absl::StatusOr<int64_t> Engine::WarmUp(absl::Duration limit) {
  return impl_->WarmUpAll(limit);
}

absl::Status Engine::WarmUpLayer(const Layer& layer, absl::Duration limit) {
  return impl_->WarmUpLayer(layer, limit);
}

void Engine::Cancel(Ticket ticket) {
  impl_->scheduler().Cancel(ticket);
}

void Engine::Drain(absl::Time deadline) {
  impl_->scheduler().Drain(deadline);
}

EngineStats Engine::stats() const {
  const SchedulerStats scheduler = impl_->scheduler().stats();
  EngineStats stats;
  stats.queue_requests = scheduler.queue_requests;
  stats.queue_bytes = scheduler.queue_bytes;
  stats.in_flight_bytes = impl_->budget().used_bytes();
  stats.in_flight_limit = impl_->budget().request_bytes();
  stats.queue_expected = scheduler.queue_expected;
  stats.queue_oldest = scheduler.queue_oldest;
  stats.batch_oldest = scheduler.batch_oldest;
  stats.batch_overrun = scheduler.overrun;
  stats.batch_overdue = scheduler.overdue;
  return stats;
}

const EngineOptions& Engine::options() const {
  return impl_->options();
}

const ShapeLimits& Engine::shape_limits() const {
  return impl_->shape_limits();
}

int64_t Engine::max_heads() const {
  return impl_->max_heads();
}

}  // namespace attend
