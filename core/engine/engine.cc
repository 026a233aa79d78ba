#include "core/engine/engine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/attention/attention.h"
#include "core/batching/scheduler.h"
#include "core/engine/engine_item.h"
#include "core/exec/cores.h"
#include "core/exec/execution_context.h"
#include "core/layer/layer_batch.h"

namespace attend {
namespace {

// The executor may keep one part in so many of the budget.
constexpr int64_t kRetainedShare = 8;

RetainedMemory RetainedOf(int64_t budget_bytes, int workers) {
  return RetainedMemory::Within(budget_bytes / kRetainedShare, workers);
}

EngineOptions Resolved(EngineOptions options) {
  if (options.num_workers <= 0) options.num_workers = UsableCores();
  return options;
}

ShapeLimits LimitsOf(const EngineOptions& options) {
  ShapeLimits limits;
  limits.max_sequence_length = options.max_sequence_length;
  limits.max_rows = std::max(options.max_sequence_length, options.max_batch_tokens);
  limits.max_sequences = limits.max_rows;
  limits.max_weights_bytes = options.max_weights_bytes;
  return limits;
}

SchedulerOptions SchedulingOf(const EngineOptions& options, const MemoryBudget& budget) {
  SchedulerOptions scheduling;
  scheduling.batch.max_requests = options.batching ? options.max_batch_requests : 1;
  scheduling.batch.max_tokens = options.max_batch_tokens;
  scheduling.batch.max_flops = options.max_batch_flops;
  scheduling.max_queue_requests = options.max_queue_requests;
  scheduling.max_queue_bytes = budget.request_bytes();
  // One batch at a time, on all workers: it ends soonest, and what comes
  // meanwhile makes a larger next one.
  scheduling.executors = 1;
  return scheduling;
}

EngineItem& ItemOf(const WorkItem& item) {
  return static_cast<EngineItem&>(*item.work);
}

}  // namespace

class Engine::Impl {
 public:
  Impl(const EngineOptions& options, const LayerRegistry& layers, MemoryBudget& budget,
       const Clock& clock, EngineObserver* observer)
      : options_(Resolved(options)),
        limits_(LimitsOf(options_)),
        layers_(layers),
        clock_(clock),
        observer_(observer),
        budget_(budget),
        context_(options_.num_workers, Reserve(options_, budget)),
        scheduler_(SchedulingOf(options_, budget), clock,
                   [this](int, absl::Span<const WorkItem> batch) { RunBatch(batch); }) {}

  Ticket Submit(Request request, MemoryCharge charge, absl::Time deadline, Done done) {
    auto item =
        std::make_unique<EngineItem>(std::move(request), std::move(charge), std::move(done));
    absl::Status status = item->Prepare(layers_, limits_, options_.priority_levels, budget_);
    if (!status.ok()) {
      item->End(std::move(status));
      return 0;
    }
    WorkItem work;
    work.group = item->layer();
    work.priority = item->priority();
    work.cost = item->cost();
    work.deadline = deadline;
    work.work = std::move(item);
    const absl::StatusOr<uint64_t> id = scheduler_.Submit(work);
    if (id.ok()) return *id;
    work.work->End(id.status());
    return 0;
  }

  void RunBatch(absl::Span<const WorkItem> batch) const {
    const absl::Time start = clock_.Now();
    double flops = 0.0;
    Timing timing;
    timing.batch_requests = static_cast<int64_t>(batch.size());
    for (const WorkItem& item : batch) {
      flops += ItemOf(item).flops();
      timing.batch_tokens += item.cost.tokens;
    }
    Compute(batch);
    context_.Trim();
    timing.compute = clock_.Now() - start;
    for (const WorkItem& item : batch) {
      timing.queue = start - item.enqueued;
      ItemOf(item).SetTiming(timing);
    }
    if (observer_ != nullptr) {
      observer_->OnBatch(timing.batch_requests, timing.batch_tokens, flops, timing.compute);
    }
  }

  static RetainedMemory Reserve(const EngineOptions& options, MemoryBudget& budget) {
    const RetainedMemory retained = RetainedOf(budget.request_bytes(), options.num_workers);
    budget.Reserve(retained.TotalBytes(options.num_workers));
    return retained;
  }

  // All of a batch is of one group: one layer's, or the bare operator's.
  void Compute(absl::Span<const WorkItem> batch) const {
    if (const Layer* const layer = ItemOf(batch.front()).layer(); layer != nullptr) {
      std::vector<const LayerItem*> items;
      items.reserve(batch.size());
      for (const WorkItem& work : batch) {
        if (const LayerItem* item = ItemOf(work).layer_item()) items.push_back(item);
      }
      if (!items.empty()) LayerBatch(*layer, items, context_).Run();
      return;
    }
    std::vector<const AttentionProblem*> problems;
    problems.reserve(batch.size());
    for (const WorkItem& work : batch) {
      if (const AttentionProblem* problem = ItemOf(work).problem()) problems.push_back(problem);
    }
    if (!problems.empty()) ComputeAttention(problems, context_);
  }

  const EngineOptions options_;
  const ShapeLimits limits_;
  const LayerRegistry& layers_;
  const Clock& clock_;
  EngineObserver* const observer_;
  MemoryBudget& budget_;
  mutable ExecutionContext context_;  // the one executor's
  Scheduler scheduler_;               // last: its threads use all of the above
};

int64_t EngineRetainedBytes(const EngineOptions& options, int64_t budget_bytes) {
  const int workers = Resolved(options).num_workers;
  return RetainedOf(budget_bytes, workers).TotalBytes(workers);
}

Engine::Engine(const EngineOptions& options, const LayerRegistry& layers, MemoryBudget& budget,
               const Clock& clock, EngineObserver* observer)
    : impl_(std::make_unique<Impl>(options, layers, budget, clock, observer)) {}

Engine::~Engine() = default;

MemoryBudget& Engine::budget() {
  return impl_->budget_;
}

Engine::Ticket Engine::Submit(Request request, MemoryCharge charge, absl::Time deadline,
                              Done done) {
  return impl_->Submit(std::move(request), std::move(charge), deadline, std::move(done));
}

void Engine::Cancel(Ticket ticket) {
  impl_->scheduler_.Cancel(ticket);
}

void Engine::Drain(absl::Time deadline) {
  impl_->scheduler_.Drain(deadline);
}

EngineStats Engine::stats() const {
  const SchedulerStats scheduler = impl_->scheduler_.stats();
  return {scheduler.queue_requests, scheduler.queue_bytes, impl_->budget_.used_bytes()};
}

const EngineOptions& Engine::options() const {
  return impl_->options_;
}

}  // namespace attend
