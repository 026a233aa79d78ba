// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_SPAN_QUEUE_H_
#define ATTEND_SERVER_TELEMETRY_SPAN_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attend {

struct SpanExportOptions {
  size_t max_queued = 2048;  // spans that wait beside a batch; each has about 600 bytes
  size_t max_batch = 512;    // spans that are sent together
  absl::Duration max_wait = absl::Seconds(1);  // until a batch that is not full is sent
  absl::Duration min_backoff = absl::Seconds(1);
  absl::Duration max_backoff = absl::Seconds(30);
  absl::Duration retry_for = absl::Minutes(5);      // since a batch was sent first
  absl::Duration send_timeout = absl::Seconds(10);  // of each attempt
  absl::Duration end_timeout = absl::Seconds(2);    // to send what is left when the server ends
};

// What became of spans since the start. Those that wait are in none of the numbers.
struct SpanStats {
  int64_t exported = 0;  // the collector took them
  int64_t dropped = 0;   // the queue was full, or no memory was left
  int64_t failed = 0;    // the collector refused them or could not be reached
};

// Decides which encoded spans are sent when, and which are given up. The thread of SpanExporter
// obeys it. Times are those of one Clock. Thread-compatible.
//
// A batch is full, or has a span that has waited for `max_wait`. One that fails for a cause that
// may pass is tried again before any other is sent, after a backoff that doubles with each failure,
// for `retry_for` at most: a batch that the collector never takes must not hold up all others.
class SpanQueue {
 public:
  explicit SpanQueue(const SpanExportOptions& options) : options_(options) {}

  // Queues a span, or drops it if the queue is full. Returns whether due() may be earlier now. Has
  // no effect if it throws std::bad_alloc.
  bool Add(std::string span, absl::Time now);

  // Counts a span that could not be made or added.
  void CountDropped() { ++stats_.dropped; }

  // When Take should be called; in the infinite future if there is nothing to send.
  absl::Time due() const;

  // Whether a span waits or is to be tried again.
  bool empty() const { return failed_.spans.empty() && queued_.empty(); }

  struct Batch {
    std::vector<std::string> spans;
    absl::Time give_up;  // it is not tried again after this
  };

  // Hands out the batch that is tried again, or else the oldest spans. It must come back by
  // OnSent before the next is taken. Has no effect if it throws std::bad_alloc.
  Batch Take(absl::Time now);

  // The collector has answered with `code` and, where that is OK, rejected so many of the spans.
  void OnSent(Batch batch, absl::StatusCode code, int64_t rejected, absl::Time now);

  // Gives up all spans. Returns how many there were.
  int64_t GiveUp();

  const SpanStats& stats() const { return stats_; }

 private:
  struct Queued {
    std::string span;
    absl::Time added;
  };

  const SpanExportOptions options_;
  std::deque<Queued> queued_;  // oldest first
  Batch failed_;               // to be tried again; without spans: there is none
  absl::Duration backoff_ = absl::ZeroDuration();
  absl::Time not_before_ = absl::InfinitePast();  // the end of the backoff
  SpanStats stats_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_SPAN_QUEUE_H_
