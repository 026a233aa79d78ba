// SPDX-License-Identifier: Apache-2.0
#include "core/batching/fair_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace attend {
namespace {

// When an item that arrived with `priority` may be served as one of `served`, which is higher.
absl::Time PromotionTime(const WorkItem& item, Priority served, absl::Duration aging) {
  return item.enqueued + aging * (static_cast<int>(item.priority) - static_cast<int>(served));
}

Priority Above(Priority priority) {
  return static_cast<Priority>(static_cast<int>(priority) - 1);
}

// The size of a batch while it grows.
struct BatchSize {
  int64_t requests = 0;
  int64_t tokens = 0;
  absl::Duration expected;

  void Add(const WorkItem& item) {
    ++requests;
    tokens += item.cost.tokens;
    expected += item.expected;
  }

  bool HasRoom(const WorkItem& item, const BatchLimits& limits) const {
    // The counts are subtracted, because the sum of two int64 may overflow.
    if (requests >= limits.max_requests || item.cost.tokens > limits.max_tokens - tokens) {
      return false;
    }
    const absl::Duration after = expected + item.expected;
    return after <= limits.target ||
           (item.batch_expected > absl::ZeroDuration() && after <= limits.max_time &&
            item.cost.tokens <= limits.efficient_tokens - tokens);
  }
};

}  // namespace

void FairQueue::Totals::Add(const WorkItem& item) {
  ++requests;
  bytes += item.cost.bytes;
  expected += item.expected;
}

void FairQueue::Totals::Remove(const WorkItem& item) {
  --requests;
  bytes -= item.cost.bytes;
  expected -= item.expected;
}

void FairQueue::Totals::operator+=(const Totals& other) {
  requests += other.requests;
  bytes += other.bytes;
  expected += other.expected;
}

void FairQueue::Push(WorkItem item) {
  totals_.Add(item);
  ++waiting_[static_cast<int>(item.work_class)];
  const FlowKey key = {item.work_class, item.priority, item.caller, item.runner};
  Insert(key, std::move(item));
}

void FairQueue::Insert(FlowKey key, WorkItem item) {
  Flow& flow = flows_[key];
  if (flow.items.empty()) flow.tag = std::max(flow.tag, LastTag(key));
  auto place = flow.items.end();
  while (place != flow.items.begin() && std::prev(place)->id > item.id) --place;
  flow.totals.Add(item);
  flow.items.insert(place, std::move(item));
}

void FairQueue::PromoteAged(absl::Time now) {
  // From low to high, so that an item that has waited for long moves twice.
  for (int level = kPriorities - 1; level > 0; --level) {
    for (auto& [key, flow] : flows_) {
      if (static_cast<int>(key.priority) == level) PromoteFrom(key, flow, now);
    }
  }
}

void FairQueue::PromoteFrom(const FlowKey& key, Flow& flow, absl::Time now) {
  FlowKey above = key;
  above.priority = Above(key.priority);
  // Items that arrived with one priority do not pass each other, even if the clock went back
  // between them.
  bool stays[kPriorities] = {};
  for (size_t i = 0; i < flow.items.size();) {
    const auto place = flow.items.begin() + static_cast<ptrdiff_t>(i);
    bool& stay = stays[static_cast<int>(place->priority)];
    stay |= PromotionTime(*place, above.priority, aging_) > now;
    if (stay) {
      ++i;
      continue;
    }
    WorkItem item = std::move(*place);
    flow.items.erase(place);
    flow.totals.Remove(item);
    Insert(above, std::move(item));
  }
}

WorkItem FairQueue::TakeFrom(Flow& flow, std::deque<WorkItem>::iterator place) {
  WorkItem item = std::move(*place);
  flow.items.erase(place);
  flow.totals.Remove(item);
  totals_.Remove(item);
  --waiting_[static_cast<int>(item.work_class)];
  return item;
}

bool FairQueue::DropExpired(Flow& flow, absl::Time now, std::vector<WorkItem>& expired) {
  while (!flow.items.empty() && flow.items.front().deadline <= now) {
    expired.push_back(TakeFrom(flow, flow.items.begin()));
  }
  return !flow.items.empty();
}

std::vector<WorkItem> FairQueue::TakeBatch(WorkClass work_class, const BatchLimits& limits,
                                           absl::Time now,
                                           absl::FunctionRef<bool(uint32_t caller)> may_run,
                                           std::vector<WorkItem>& expired) {
  std::vector<WorkItem> batch;
  if (!has(work_class)) return batch;
  PromoteAged(now);
  const auto head = FindHead(work_class, now, may_run, expired);
  if (head == flows_.end()) return batch;
  auto& [key, flow] = *head;
  LastTag(key) = std::max(LastTag(key), flow.tag);
  batch.push_back(TakeFrom(flow, flow.items.begin()));
  flow.tag += absl::ToDoubleSeconds(batch.front().batch_expected + batch.front().expected);
  TakeJoiners(key, limits, now, may_run, batch, expired);
  return batch;
}

FairQueue::Flows::iterator FairQueue::FindHead(WorkClass work_class, absl::Time now,
                                               absl::FunctionRef<bool(uint32_t caller)> may_run,
                                               std::vector<WorkItem>& expired) {
  auto best = flows_.end();
  for (auto it = flows_.begin(); it != flows_.end();) {
    const auto here = it++;
    auto& [key, flow] = *here;
    if (key.work_class != work_class) continue;
    if (!DropExpired(flow, now, expired)) {
      // Its tag matters no more once others were served as much.
      if (flow.tag <= LastTag(key)) flows_.erase(here);
      continue;
    }
    if (!may_run(key.caller)) continue;
    if (best == flows_.end() || key.priority < best->first.priority ||
        (key.priority == best->first.priority &&
         std::make_pair(flow.tag, flow.items.front().id) <
             std::make_pair(best->second.tag, best->second.items.front().id))) {
      best = here;
    }
  }
  return best;
}

void FairQueue::TakeJoiners(const FlowKey& head, const BatchLimits& limits, absl::Time now,
                            absl::FunctionRef<bool(uint32_t caller)> may_run,
                            std::vector<WorkItem>& batch, std::vector<WorkItem>& expired) {
  BatchSize size;
  size.expected = batch.front().batch_expected;
  size.Add(batch.front());
  if (size.requests >= limits.max_requests) return;
  std::vector<Flows::iterator> flows;  // that may still give items
  int passed = kPriorities;            // the highest priority of the items that stay
  for (auto it = flows_.begin(); it != flows_.end(); ++it) {
    const auto& [key, flow] = *it;
    if (key.work_class != head.work_class || flow.items.empty() || !may_run(key.caller)) continue;
    if (key.runner == head.runner) {
      flows.push_back(it);
    } else {
      passed = std::min(passed, static_cast<int>(key.priority));
    }
  }
  const auto comes_first = [](Flows::iterator a, Flows::iterator b) {
    return std::make_tuple(a->first.priority, a->second.tag, a->first.caller) <
           std::make_tuple(b->first.priority, b->second.tag, b->first.caller);
  };
  while (!flows.empty()) {
    const auto next = std::min_element(flows.begin(), flows.end(), comes_first);
    auto& [key, flow] = **next;
    if (static_cast<int>(key.priority) > passed) return;
    if (!DropExpired(flow, now, expired)) {
      flows.erase(next);
      continue;
    }
    if (!size.HasRoom(flow.items.front(), limits)) {
      passed = std::min(passed, static_cast<int>(key.priority));
      flows.erase(next);
      continue;
    }
    size.Add(flow.items.front());
    batch.push_back(TakeFrom(flow, flow.items.begin()));
    flow.tag += absl::ToDoubleSeconds(batch.back().expected);
  }
}

std::vector<WorkItem> FairQueue::TakeExpired(absl::Time now) {
  std::vector<WorkItem> expired;
  for (auto& [key, flow] : flows_) {
    for (size_t i = 0; i < flow.items.size();) {
      const auto place = flow.items.begin() + static_cast<ptrdiff_t>(i);
      if (place->deadline <= now) {
        expired.push_back(TakeFrom(flow, place));
      } else {
        ++i;
      }
    }
  }
  return expired;
}

std::vector<WorkItem> FairQueue::TakeAll() {
  std::vector<WorkItem> all;
  for (auto& [key, flow] : flows_) {
    while (!flow.items.empty()) all.push_back(TakeFrom(flow, flow.items.begin()));
  }
  return all;
}

std::optional<WorkItem> FairQueue::TakeById(uint64_t id) {
  for (auto& [key, flow] : flows_) {
    // Ids ascend in a flow.
    const auto place =
        std::lower_bound(flow.items.begin(), flow.items.end(), id,
                         [](const WorkItem& item, uint64_t wanted) { return item.id < wanted; });
    if (place != flow.items.end() && place->id == id) return TakeFrom(flow, place);
  }
  return std::nullopt;
}

const WorkItem* FairQueue::FindVictim(const WorkItem& arrival) const {
  const FlowKey* last_key = nullptr;
  const WorkItem* last = nullptr;
  std::map<uint32_t, absl::Duration> queued = {{arrival.caller, arrival.expected}};
  for (const auto& [key, flow] : flows_) {
    if (flow.items.empty()) continue;
    queued[key.caller] += flow.totals.expected;
    const WorkItem& newest = flow.items.back();
    if (last == nullptr ||
        std::make_pair(key.priority, newest.id) > std::make_pair(last_key->priority, last->id)) {
      last_key = &key;
      last = &newest;
    }
  }
  if (last == nullptr || last_key->priority > arrival.priority) return last;
  const auto most =
      std::max_element(queued.begin(), queued.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most->second <= queued[arrival.caller]) return nullptr;
  last = nullptr;
  for (const auto& [key, flow] : flows_) {
    if (flow.items.empty() || key.caller != most->first || key.priority < arrival.priority)
      continue;
    if (last == nullptr || flow.items.back().id > last->id) last = &flow.items.back();
  }
  return last;
}

absl::Duration FairQueue::ExpectedAhead(const WorkItem& arrival) const {
  const FlowKey own = {arrival.work_class, arrival.priority, arrival.caller, arrival.runner};
  const auto own_flow = flows_.find(own);
  const absl::Duration before =
      own_flow == flows_.end() ? absl::ZeroDuration() : own_flow->second.totals.expected;
  absl::Duration ahead = before;
  for (auto it = flows_.begin(); it != flows_.end(); ++it) {
    const auto& [key, flow] = *it;
    if (it == own_flow || key.work_class != own.work_class || key.priority > own.priority) continue;
    // A flow of the same priority is served as much as this one until the arrival's turn.
    ahead += key.priority < own.priority
                 ? flow.totals.expected
                 : std::min(flow.totals.expected, before + arrival.expected);
  }
  return ahead;
}

void FairQueue::ForgetIdleFlows() {
  for (auto it = flows_.begin(); it != flows_.end();) {
    it = it->second.items.empty() ? flows_.erase(it) : std::next(it);
  }
}

FairQueue::Totals FairQueue::TotalsBelow(Priority priority) const {
  Totals below;
  for (const auto& [key, flow] : flows_) {
    if (key.priority > priority) below += flow.totals;
  }
  return below;
}

absl::Time FairQueue::NextDeadline() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [key, flow] : flows_) {
    for (const WorkItem& item : flow.items) next = std::min(next, item.deadline);
  }
  return next;
}

absl::Time FairQueue::OldestArrival() const {
  absl::Time oldest = absl::InfiniteFuture();
  for (const auto& [key, flow] : flows_) {
    for (const WorkItem& item : flow.items) oldest = std::min(oldest, item.enqueued);
  }
  return oldest;
}

}  // namespace attend
