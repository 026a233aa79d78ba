// SPDX-License-Identifier: Apache-2.0
#include "server/services/pipeline_items.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/calls/wire_status.h"

namespace attend {

absl::Status PipelineItems::Add(const std::shared_ptr<PipelineItem>& item) {
  if (closed_) return CallerLeftError();
  const auto waiting = answers_.begin() + (writing_ ? 1 : 0);
  const auto has_id = [&](const PipelineAnswer& answer) { return answer.item->id == item->id; };
  if (items_.contains(item->id) || std::any_of(waiting, answers_.end(), has_id)) {
    return InvalidField("id", absl::StrCat(item->id, " is that of a request without an answer yet"),
                        "DUPLICATE_ID");
  }
  items_.emplace(item->id, item);
  return absl::OkStatus();
}

std::shared_ptr<PipelineItem> PipelineItems::Find(uint64_t id) const {
  const auto found = items_.find(id);
  return found == items_.end() ? nullptr : found->second;
}

void PipelineItems::Answer(PipelineAnswer answer) {
  const auto found = items_.find(answer.item->id);
  if (found != items_.end() && found->second == answer.item) items_.erase(found);
  answers_.push_back(std::move(answer));
}

PipelineAnswer* PipelineItems::StartWriting() {
  if (writing_ || answers_.empty()) return nullptr;
  writing_ = true;
  return &answers_.front();
}

PipelineAnswer PipelineItems::EndWriting() {
  writing_ = false;
  PipelineAnswer written = std::move(answers_.front());
  answers_.pop_front();
  return written;
}

bool PipelineItems::IsWriting(const PipelineItem& item) const {
  return writing_ && answers_.front().item.get() == &item;
}

PipelineAnswer* PipelineItems::FindWaiting(const PipelineItem& item) {
  const auto found =
      std::find_if(answers_.begin() + (writing_ ? 1 : 0), answers_.end(),
                   [&](const PipelineAnswer& answer) { return answer.item.get() == &item; });
  return found == answers_.end() ? nullptr : &*found;
}

std::vector<std::shared_ptr<PipelineItem>> PipelineItems::Close() {
  closed_ = true;
  std::vector<std::shared_ptr<PipelineItem>> items;
  for (auto& [id, item] : items_) items.push_back(std::move(item));
  items_.clear();
  return items;
}

}  // namespace attend
