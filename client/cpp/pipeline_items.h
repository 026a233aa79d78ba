// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_PIPELINE_ITEMS_H_
#define ATTEND_CLIENT_CPP_PIPELINE_ITEMS_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attend/pending_call.h"
#include "attend/tensor_buffer.h"
#include "client/cpp/codec.h"
#include "client/cpp/window.h"

namespace attend::client::internal {

// One request of a pipeline. Times are the pacer's.
struct PipelineItem {
  std::shared_ptr<const Prepared> request;
  absl::Duration deadline;
  ResponseBuffers buffers;
  ResponseCallback done;
  int attempts = 0;
};

// One that has failed, before its callback.
struct FailedItem {
  PipelineItem item;
  absl::Status status;
};

// The requests of one pipeline: which is to be sent next, which may be answered, and
// which have failed without an answer. Sends and waits for nothing itself.
// Thread-compatible.
//
// A request has its id, and its room in the window, until the server has nothing to
// do with it any more: one that was sent keeps both after it was cancelled or has
// expired, until the server answers.
class PipelineItems {
 public:
  // Ids count from `first_id`. `window` outlives this and gets back what its user
  // took for each item.
  PipelineItems(uint64_t first_id, Window& window) : next_id_(first_id), window_(window) {}

  // Queues it to be sent; returns its id, which no other of these has.
  uint64_t Add(PipelineItem item);

  // Fails the item with CANCELLED, unless it has ended.
  void Cancel(uint64_t id);

  // What is to be sent: a request, or a cancel where `item` is null. Counts an
  // attempt. The pointer is valid until the next call.
  struct Message {
    uint64_t id;
    const PipelineItem* item;
  };
  std::optional<Message> NextToSend();

  // Whether the server has this id and has not answered it.
  bool IsSent(uint64_t id) const;

  // Of an id that is sent. Null: nobody waits for its answer any more.
  const PipelineItem* Find(uint64_t id) const;

  // After the answer to an id that is sent: either Remove, which gives the item back
  // if somebody waits for it, or SendAgain at a time before its deadline.
  std::optional<PipelineItem> Remove(uint64_t id);
  void SendAgain(uint64_t id, absl::Duration time);

  // Fails what has expired and queues what is to be sent again by now.
  void AdvanceTo(absl::Duration now);
  // When to call it next; infinite where nothing waits.
  absl::Duration NextTime() const;

  // Fails everything.
  void FailAll(const absl::Status& status);

  // Those that failed since the last call.
  std::vector<FailedItem> TakeFailed() { return std::exchange(failed_, {}); }
  bool has_failed() const { return !failed_.empty(); }

  // Whether nobody waits for an answer, and nothing is to be sent.
  bool idle() const { return waiting_ == 0 && cancels_.empty(); }

 private:
  enum class State { kQueued, kSent, kWaitsToBeSent };
  struct Entry {
    std::optional<PipelineItem> item;  // absent: it has failed
    State state = State::kQueued;
    absl::Duration time;  // the deadline, or when to send it again
    size_t bytes = 0;     // its room in the window
  };
  using Entries = absl::flat_hash_map<uint64_t, Entry>;

  void SetTime(uint64_t id, Entry& entry, absl::Duration time);
  void Fail(Entries::iterator found, const absl::Status& status);
  void Erase(Entries::iterator found);

  uint64_t next_id_;
  Window& window_;
  Entries entries_;
  size_t waiting_ = 0;                                   // entries with an item
  std::deque<uint64_t> queue_;                           // requests to be sent
  std::deque<uint64_t> cancels_;                         // to be sent
  std::set<std::pair<absl::Duration, uint64_t>> times_;  // of entries with an item
  std::vector<FailedItem> failed_;
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_PIPELINE_ITEMS_H_
