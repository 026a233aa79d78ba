// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_QUOTA_H_
#define ATTEND_CORE_BASE_QUOTA_H_

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace attend {

// What one user of a program may have of it. Nothing is limited by default.
struct QuotaLimits {
  int64_t requests = std::numeric_limits<int64_t>::max();  // in flight
  int64_t bytes = std::numeric_limits<int64_t>::max();     // of memory that they hold together
  // Seconds of predicted computing per second, all executors together.
  double compute_rate = std::numeric_limits<double>::infinity();
};

// What the requests of one user hold and have spent. Thread-safe; blocks at most for a mutex.
//
// A refusal is RESOURCE_EXHAUSTED: with pushback and reason QUOTA_REQUESTS, QUOTA_MEMORY or
// QUOTA_COMPUTE where a later attempt may succeed, and TOO_LARGE without pushback where one request
// alone exceeds the limit on bytes.
class Quota {
 public:
  struct Use {
    int64_t requests = 0;
    int64_t bytes = 0;
    double computed_seconds = 0.0;  // predicted, since the start
    int64_t refused = 0;            // since the start
  };

  // `clock` outlives the quota.
  explicit Quota(const QuotaLimits& limits, const Clock& clock = Clock::Steady());

  // The new limits bind from the next request on; what is held stays.
  void SetLimits(const QuotaLimits& limits);

  // Whether a request could begin now. OK promises nothing.
  absl::Status CheckRoom();
  // Whether a request of so many bytes could begin now. Counts no refusal, for a caller that waits
  // instead of being refused.
  bool HasRoom(int64_t bytes);

  // A request begins and holds so many bytes, or is refused and leaves everything as it was.
  absl::Status Enter(int64_t bytes);
  // The request that holds `held` bytes takes `bytes` more, or is refused likewise.
  absl::Status Grow(int64_t bytes, int64_t held);
  // It gives bytes back.
  void Shrink(int64_t bytes);
  // It ends and gives back what it still holds.
  void Leave(int64_t bytes);

  // Spends predicted seconds of computing: a token bucket that fills at compute_rate up to one
  // second's worth. A request passes as long as the bucket is not empty, whatever it costs, and
  // those after it wait until its debt is paid.
  absl::Status Spend(double seconds);
  // Returns what was spent on a request that is not computed.
  void Refund(double seconds);

  Use use() const;

 private:
  absl::Status FindRoom(int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckBytes(int64_t bytes, int64_t held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckRequests() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckCompute() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Counts a refusal.
  absl::Status Count(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  mutable Mutex mutex_;
  QuotaLimits limits_ ABSL_GUARDED_BY(mutex_);
  Use use_ ABSL_GUARDED_BY(mutex_);
  double level_ ABSL_GUARDED_BY(mutex_);  // seconds in the bucket; negative: debt
  absl::Time filled_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_QUOTA_H_
