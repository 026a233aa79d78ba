// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/pipeline_items.h"

#include <algorithm>

#include "client/cpp/status.h"

namespace attend::client::internal {
namespace {

// At most as many as the window has requests.
void EraseId(uint64_t id, std::deque<uint64_t>& ids) {
  ids.erase(std::remove(ids.begin(), ids.end(), id), ids.end());
}

}  // namespace

uint64_t PipelineItems::Add(PipelineItem item) {
  const uint64_t id = next_id_++;  // no stream lives to use 2^64 of them
  Entry& entry = entries_[id];
  entry.bytes = item.request->message.Length();
  entry.time = item.deadline;
  entry.item = std::move(item);
  times_.emplace(entry.time, id);
  ++waiting_;
  queue_.push_back(id);
  return id;
}

void PipelineItems::Cancel(uint64_t id) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || !found->second.item.has_value()) return;
  if (found->second.state == State::kSent) cancels_.push_back(id);
  Fail(found, absl::CancelledError("cancelled by the caller"));
}

std::optional<PipelineItems::Message> PipelineItems::NextToSend() {
  std::deque<uint64_t>& source = cancels_.empty() ? queue_ : cancels_;
  if (source.empty()) return std::nullopt;
  const uint64_t id = source.front();
  source.pop_front();
  if (&source == &cancels_) return Message{id, nullptr};
  Entry& entry = entries_.find(id)->second;
  entry.state = State::kSent;
  ++entry.item->attempts;
  return Message{id, &*entry.item};
}

bool PipelineItems::IsSent(uint64_t id) const {
  const auto found = entries_.find(id);
  return found != entries_.end() && found->second.state == State::kSent;
}

const PipelineItem* PipelineItems::Find(uint64_t id) const {
  const std::optional<PipelineItem>& item = entries_.find(id)->second.item;
  return item.has_value() ? &*item : nullptr;
}

std::optional<PipelineItem> PipelineItems::Remove(uint64_t id) {
  const auto found = entries_.find(id);
  std::optional<PipelineItem> item = std::move(found->second.item);
  if (item.has_value()) {
    times_.erase({found->second.time, id});
    --waiting_;
  } else {
    EraseId(id, cancels_);
  }
  Erase(found);
  return item;
}

void PipelineItems::SendAgain(uint64_t id, absl::Duration time) {
  Entry& entry = entries_.find(id)->second;
  entry.state = State::kWaitsToBeSent;
  SetTime(id, entry, time);
}

void PipelineItems::AdvanceTo(absl::Duration now) {
  while (!times_.empty() && times_.begin()->first <= now) {
    const uint64_t id = times_.begin()->second;
    const auto found = entries_.find(id);
    Entry& entry = found->second;
    if (entry.state == State::kWaitsToBeSent && entry.time < entry.item->deadline) {
      entry.state = State::kQueued;
      queue_.push_back(id);
      SetTime(id, entry, entry.item->deadline);
    } else {
      Fail(found, absl::DeadlineExceededError("the deadline passed before the answer"));
    }
  }
}

absl::Duration PipelineItems::NextTime() const {
  return times_.empty() ? absl::InfiniteDuration() : times_.begin()->first;
}

void PipelineItems::FailAll(const absl::Status& status) {
  for (auto& [id, entry] : entries_) {
    window_.Return(entry.bytes);
    if (!entry.item.has_value()) continue;
    const int attempts = entry.item->attempts;
    failed_.push_back({*std::move(entry.item), WithAttempts(status, attempts)});
  }
  entries_.clear();
  queue_.clear();
  cancels_.clear();
  times_.clear();
  waiting_ = 0;
}

void PipelineItems::SetTime(uint64_t id, Entry& entry, absl::Duration time) {
  times_.erase({entry.time, id});
  entry.time = time;
  times_.emplace(time, id);
}

void PipelineItems::Fail(Entries::iterator found, const absl::Status& status) {
  const uint64_t id = found->first;
  Entry& entry = found->second;
  times_.erase({entry.time, id});
  --waiting_;
  const int attempts = entry.item->attempts;
  failed_.push_back({*std::move(entry.item), WithAttempts(status, attempts)});
  entry.item.reset();
  if (entry.state == State::kSent) return;  // the server has it
  if (entry.state == State::kQueued) EraseId(id, queue_);
  Erase(found);
}

void PipelineItems::Erase(Entries::iterator found) {
  window_.Return(found->second.bytes);
  entries_.erase(found);
}

}  // namespace attend::client::internal
