// SPDX-License-Identifier: Apache-2.0
#include "core/attention/attention.h"

#include <algorithm>
#include <cstddef>
#include <new>

#include "core/attention/decode_prefetch.h"
#include "core/attention/plan.h"
#include "core/attention/tile_tasks.h"
#include "core/base/arena.h"

namespace attend {
namespace internal {
namespace {

// The most states per worker that wait for their merge: twice the number of tasks that
// GroupTasks makes of split keys. A call with more of them runs in rounds, so that its memory
// does not grow with its length.
constexpr size_t kMaxStatesPerWorker = 32;

// A range of one sequence's tiles in a round.
struct RoundPart {
  const PlannedSequence* planned;
  int64_t first_tile;
  int64_t end_task, end_merge;  // counted from the start of the round
  size_t states;                // offset of its states' memory
};

// Tasks that run at the same time, and the merges that follow them.
class Round {
 public:
  // `parts` has room for one part per sequence.
  Round(absl::Span<RoundPart> parts, const KernelTable& kernels, ExecutionContext& context)
      : parts_(parts), kernels_(kernels), context_(context) {}

  // Adds the tasks of all tiles. Runs the round and begins another when states become too many.
  void Add(const PlannedSequence& planned) {
    const auto tasks = static_cast<size_t>(planned.plan.tasks_per_tile());
    const size_t max_states = kMaxStatesPerWorker * static_cast<size_t>(context_.workers());
    for (int64_t tile = 0; tile < planned.plan.tiles();) {
      if (count_ > 0 && tasks > 1 && states_ + tasks > max_states) Run();
      int64_t count = planned.plan.tiles() - tile;
      if (tasks > 1) {
        const size_t fit =
            std::max<size_t>((max_states - std::min(max_states, states_)) / tasks, 1);
        count = std::min(count, static_cast<int64_t>(fit));
        states_ += static_cast<size_t>(count) * tasks;
      }
      AddPart(planned, tile, count);
      tile += count;
    }
  }

  void Run() {
    if (count_ == 0) return;
    ArenaFrame frame(context_.arena(0));
    std::byte* const memory = frame.Take<std::byte>(bytes_);
    const absl::Span<const RoundPart> parts = parts_.first(count_);
    context_.pool().ParallelFor(parts.back().end_task, [&](int64_t i, int worker) {
      const auto part = Find(parts, i, &RoundPart::end_task);
      RunTask(*part.part->planned, FirstTask(*part.part) + part.index, Base(memory, *part.part),
              kernels_, context_.arena(worker));
    });
    context_.pool().ParallelFor(parts.back().end_merge, [&](int64_t i, int /*worker*/) {
      const auto part = Find(parts, i, &RoundPart::end_merge);
      MergeTile(*part.part->planned, part.part->first_tile + part.index, Base(memory, *part.part));
    });
    count_ = 0;
    bytes_ = states_ = 0;
  }

 private:
  struct Found {
    const RoundPart* part;
    int64_t index;  // index of the task or merge within its part
  };

  static Found Find(absl::Span<const RoundPart> parts, int64_t i, int64_t RoundPart::*end) {
    const auto found =
        std::upper_bound(parts.begin(), parts.end(), i,
                         [end](int64_t index, const RoundPart& part) { return index < part.*end; });
    return {&*found, i - (found == parts.begin() ? 0 : (*std::prev(found)).*end)};
  }

  static int64_t FirstTask(const RoundPart& part) {
    const SequencePlan& plan = part.planned->plan;
    // Parts of a sequence without splits begin with its first tile.
    return plan.num_splits == 0 ? 0 : part.first_tile * plan.tasks_per_tile();
  }

  // The address that the memory of tile 0 would have.
  static std::byte* Base(std::byte* memory, const RoundPart& part) {
    return memory + part.states -
           static_cast<size_t>(part.first_tile) * SharedBytesPerTile(*part.planned);
  }

  void AddPart(const PlannedSequence& planned, int64_t first_tile, int64_t tiles) {
    const SequencePlan& plan = planned.plan;
    const RoundPart before = count_ == 0 ? RoundPart{} : parts_[count_ - 1];
    const int64_t tasks = plan.num_splits == 0 ? plan.tasks() : tiles * plan.tasks_per_tile();
    const int64_t merges = plan.tasks_per_tile() > 1 ? tiles : 0;
    new (&parts_[count_++])
        RoundPart{&planned, first_tile, before.end_task + tasks, before.end_merge + merges, bytes_};
    bytes_ += static_cast<size_t>(tiles) * SharedBytesPerTile(planned);
  }

  const absl::Span<RoundPart> parts_;
  const KernelTable& kernels_;
  ExecutionContext& context_;
  size_t count_ = 0;   // parts in the round
  size_t bytes_ = 0;   // memory of all states
  size_t states_ = 0;  // states that wait for a merge
};

// Computes the sequences whose weights are means over their heads, one head after another.
void RunMeans(absl::Span<const PlannedSequence* const> sequences, const KernelTable& kernels,
              ExecutionContext& context) {
  int64_t heads = 0;
  for (const PlannedSequence* planned : sequences) {
    heads = std::max(heads, planned->problem->num_heads);
  }
  for (int64_t head = 0; head < heads; ++head) {
    int64_t tasks = 0;
    const auto count = [head](const PlannedSequence& planned) {
      return head < planned.problem->num_heads ? planned.plan.row_tiles : 0;
    };
    for (const PlannedSequence* planned : sequences) tasks += count(*planned);
    context.pool().ParallelFor(tasks, [&](int64_t task, int worker) {
      for (const PlannedSequence* planned : sequences) {
        if (task < count(*planned)) {
          return RunMeanTask(*planned, head, task, kernels, context.arena(worker));
        }
        task -= count(*planned);
      }
    });
  }
}

}  // namespace

const Machine& ThisMachine() {
  static const KernelTable kKernels = {Prefill, PrefillState, DecodeState, ChooseDecodePrefetch()};
  static const Machine machine = {GetCpuFeatures(), &kKernels};
  return machine;
}

void ComputeAttention(absl::Span<const AttentionProblem* const> problems, ExecutionContext& context,
                      const Machine& machine) {
  size_t count = 0;
  for (const AttentionProblem* problem : problems) count += problem->sequences.size();
  ArenaFrame frame(context.arena(0));
  PlannedSequence* next = frame.Take<PlannedSequence>(count);
  const absl::Span<SequencePlan*> plans = frame.TakeSpan<SequencePlan*>(count);
  const absl::Span<const PlannedSequence*> means = frame.TakeSpan<const PlannedSequence*>(count);
  const absl::Span<const PlannedSequence> sequences(next, count);
  size_t num_plans = 0, num_means = 0;
  for (const AttentionProblem* problem : problems) {
    for (const SequenceProblem& sequence : problem->sequences) {
      PlannedSequence* const planned = new (next++)
          PlannedSequence{problem, &sequence, PlanSequence(*problem, sequence, machine.cpu)};
      plans[num_plans++] = &planned->plan;
      if (planned->plan.mean_of_weights) means[num_means++] = planned;
    }
  }
  GroupTasks(plans, context.workers());
  Round round(frame.TakeSpan<RoundPart>(count), *machine.kernels, context);
  for (const PlannedSequence& planned : sequences) {
    if (!planned.plan.mean_of_weights) round.Add(planned);
  }
  round.Run();
  RunMeans(means.first(num_means), *machine.kernels, context);
}

}  // namespace internal

const PrefetchPolicy& GetDecodePrefetch() {
  return internal::ThisMachine().kernels->decode_prefetch;
}

void ComputeAttention(absl::Span<const AttentionProblem* const> problems,
                      ExecutionContext& context) {
  internal::ComputeAttention(problems, context, internal::ThisMachine());
}

}  // namespace attend
