// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SERVICES_PIPELINE_ITEMS_H_
#define ATTEND_SERVER_SERVICES_PIPELINE_ITEMS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/caller_table.h"
#include "core/engine/engine.h"
#include "server/calls/deadline_timer.h"
#include "server/codec/pipeline_codec.h"
#include "server/services/attention_context.h"
#include "server/telemetry/metrics.h"

namespace attend {

// A request of a stream, from its message until its answer has been written.
struct PipelineItem : public Expirable {
  // Constant once the item is in PipelineItems.
  uint64_t id = 0;
  PipelineKind kind = PipelineKind::kCancel;  // never that of a request
  Method method = Method::kPipeline;          // counts messages that hold no request
  absl::Time start, deadline, submitted;      // steady
  CallerHandle caller;                        // moves on to the answer

  // Guarded as PipelineItems is.
  DeadlineTimer::Entry entry;
  Engine::Ticket ticket = 0;
  bool answered = false;   // somebody makes its answer
  RequestDetails details;  // of whoever answers it, once somebody does
  bool late = false;       // its answer was being written at the deadline
};

struct PipelineAnswer {
  std::shared_ptr<PipelineItem> item;
  EncodedAnswer encoded = {};
  absl::StatusCode code = absl::StatusCode::kOk;  // what the caller gets
  std::string reason = {};                        // of an error
};

// The requests of one stream: those without an answer, by id, and the answers that wait to be
// written, of which one at a time is. Thread-compatible.
class PipelineItems {
 public:
  // INVALID_ARGUMENT, reason DUPLICATE_ID: another has the id, which is free once its answer begins
  // to leave, because the caller may use it as soon as it has that. CANCELLED after Close.
  absl::Status Add(const std::shared_ptr<PipelineItem>& item);

  // One without an answer, or null.
  std::shared_ptr<PipelineItem> Find(uint64_t id) const;

  // Queues an answer, also of an item that Add refused for its id. The item has its answer now.
  void Answer(PipelineAnswer answer);

  // The answer that is to be written next, or null. It stays in place until EndWriting.
  PipelineAnswer* StartWriting();
  PipelineAnswer EndWriting();

  bool is_writing() const { return writing_; }
  bool IsWriting(const PipelineItem& item) const;
  // Precondition: one is written.
  const PipelineAnswer& writing() const { return answers_.front(); }

  // The item's answer while it waits, or null.
  PipelineAnswer* FindWaiting(const PipelineItem& item);

  // Whether another answer waits behind the one that is written.
  bool has_waiting() const { return answers_.size() > (writing_ ? 1 : 0); }

  // How many have no answer, or one that has not been written.
  size_t size() const { return items_.size() + answers_.size(); }
  bool empty() const { return size() == 0; }

  // The stream has ended: takes those without an answer out, and refuses more.
  std::vector<std::shared_ptr<PipelineItem>> Close();
  // The answers that will not be written. After Close and EndWriting.
  std::deque<PipelineAnswer> TakeAnswers() { return std::exchange(answers_, {}); }

 private:
  absl::flat_hash_map<uint64_t, std::shared_ptr<PipelineItem>> items_;
  std::deque<PipelineAnswer> answers_;  // the first may be under way
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace attend

#endif  // ATTEND_SERVER_SERVICES_PIPELINE_ITEMS_H_
