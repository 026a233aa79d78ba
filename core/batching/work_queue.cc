// SPDX-License-Identifier: Apache-2.0
#include "core/batching/work_queue.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace attend {

void WorkQueue::Push(WorkItem item) {
  if (begin_ > items_.size() / 2) {  // amortised: each item is moved at most once
    items_.erase(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(begin_));
    begin_ = 0;
  }
  bytes_ += item.cost.bytes;
  expected_[static_cast<size_t>(item.priority)] += item.expected;

  auto place = items_.end();
  const auto front = items_.begin() + static_cast<ptrdiff_t>(begin_);
  while (place != front && std::prev(place)->priority > item.priority) --place;
  items_.insert(place, std::move(item));
}

absl::Duration WorkQueue::ExpectedUpTo(Priority priority) const {
  absl::Duration sum;
  for (size_t level = 0; level <= static_cast<size_t>(priority); ++level) sum += expected_[level];
  return sum;
}

absl::Time WorkQueue::NextDeadline() const {
  absl::Time next = absl::InfiniteFuture();
  for (const WorkItem& item : items()) next = std::min(next, item.deadline);
  return next;
}

WorkQueue::Taken WorkQueue::Take(const BatchDecision& decision) {
  // One call takes all items, because the indices refer to the queue as it is now.
  std::vector<size_t> indices(decision.run.size() + decision.expired.size());
  std::merge(decision.run.begin(), decision.run.end(), decision.expired.begin(),
             decision.expired.end(), indices.begin());
  std::vector<WorkItem> items = TakeAt(indices);
  Taken taken;
  taken.run.reserve(decision.run.size());
  taken.expired.reserve(decision.expired.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const size_t ran = taken.run.size();
    const bool runs = ran < decision.run.size() && indices[i] == decision.run[ran];
    (runs ? taken.run : taken.expired).push_back(std::move(items[i]));
  }
  return taken;
}

std::vector<WorkItem> WorkQueue::TakeAt(absl::Span<const size_t> indices) {
  std::vector<WorkItem> taken;
  if (indices.empty()) return taken;
  taken.reserve(indices.size());
  for (const size_t index : indices) {
    WorkItem& item = items_[begin_ + index];
    bytes_ -= item.cost.bytes;
    expected_[static_cast<size_t>(item.priority)] -= item.expected;
    taken.push_back(std::move(item));
  }
  // Closes the gaps towards the back: items are mostly taken from the front.
  size_t gap = indices.size();  // gaps not yet closed
  size_t write = begin_ + indices.back() + 1;
  for (size_t read = write; read-- > begin_;) {
    if (gap > 0 && read == begin_ + indices[gap - 1]) {
      --gap;
    } else {
      --write;
      if (write != read) items_[write] = std::move(items_[read]);
    }
  }
  begin_ += indices.size();
  return taken;
}

std::vector<WorkItem> WorkQueue::TakeExpired(absl::Time now) {
  std::vector<size_t> indices;
  const absl::Span<const WorkItem> all = items();
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].deadline <= now) indices.push_back(i);
  }
  return TakeAt(indices);
}

std::vector<WorkItem> WorkQueue::TakeAll() {
  std::vector<size_t> indices(items().size());
  std::iota(indices.begin(), indices.end(), size_t{0});
  return TakeAt(indices);
}

std::optional<WorkItem> WorkQueue::TakeById(uint64_t id) {
  const absl::Span<const WorkItem> all = items();
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].id == id) return std::move(TakeAt({i}).front());
  }
  return std::nullopt;
}

}  // namespace attend
