// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_DEADLINE_TIMER_H_
#define ATTEND_SERVER_CALLS_DEADLINE_TIMER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace attend {

// The time beyond its deadline that an answer or a status has to leave, before its stream or
// connection is ended.
inline constexpr absl::Duration kReturnTime = absl::Milliseconds(100);

// What has a deadline.
class Expirable {
 public:
  virtual ~Expirable() = default;

  // Called once for each Add at most, on the timer's thread, without its lock. Must not block, and
  // may call Add.
  virtual void OnDeadline() = 0;
};

// Tells many objects when their deadlines have passed, from one thread. A
// grpc::Alarm per call does the same, but wakes a thread of gRPC's at the end of
// every call, which took 40 us of a call of 300 us on two cores; here a call that
// ends in time wakes nobody. Thread-safe.
class DeadlineTimer {
 public:
  // Names an entry: its deadline and a number.
  using Entry = std::pair<absl::Time, uint64_t>;

  // `clock` outlives the timer.
  explicit DeadlineTimer(const Clock& clock);

  // Joins the thread. Nobody is told any more.
  ~DeadlineTimer();

  // `object` is told at `deadline`, a time of the clock, if it still lives and has
  // not been removed. An entry may stay until then, or until the timer ends.
  Entry Add(absl::Time deadline, std::weak_ptr<Expirable> object);

  // The object may be told meanwhile; the timer then holds a reference to it. Does
  // nothing after that.
  void Remove(Entry entry);

 private:
  void Run();

  const Clock& clock_;
  Mutex mutex_;
  CondVar earlier_;  // the thread: a deadline before wake_at_ came, or stopping
  std::map<Entry, std::weak_ptr<Expirable>> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 0;
  // When the thread wakes, whether or not there is an entry then.
  absl::Time wake_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_DEADLINE_TIMER_H_
