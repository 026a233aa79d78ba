// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_MEMORY_BUDGET_H_
#define ATTEND_CORE_BASE_MEMORY_BUDGET_H_

#include <cstdint>
#include <limits>
#include <memory>

#include "absl/status/statusor.h"
#include "core/base/caller_table.h"
#include "core/base/clock.h"
#include "core/base/quota.h"

namespace attend {

namespace internal {
class ByteCounter;
}

// Bytes taken from a budget; the destructor gives them back. A charge shares the counter of
// its budget, so it may outlive the budget. Move-only. Thread-compatible.
class MemoryCharge {
 public:
  MemoryCharge();
  MemoryCharge(MemoryCharge&& other) noexcept;
  MemoryCharge& operator=(MemoryCharge&& other) noexcept;
  ~MemoryCharge();

  // Takes `bytes` >= 0 more for the same request, or fails as MemoryBudget::Charge does and
  // leaves the charge as it was. "TOO_LARGE" then means that the bytes will never fit beside
  // those that the charge already has. Precondition: made by a budget.
  absl::Status Grow(int64_t bytes);

  // Returns `bytes` to the budget. Precondition: 0 <= bytes <= bytes().
  void Shrink(int64_t bytes);

  int64_t bytes() const { return bytes_; }
  CallerId caller() const { return caller_; }
  Quota* quota() const { return quota_.get(); }  // nullptr: none

 private:
  friend class MemoryBudget;
  MemoryCharge(std::shared_ptr<internal::ByteCounter> counter, int64_t bytes, CallerId caller,
               std::shared_ptr<Quota> quota);

  // Gives everything back.
  void Release();

  std::shared_ptr<internal::ByteCounter> counter_;  // nullptr: nothing is charged
  int64_t bytes_ = 0;
  CallerId caller_ = kSharedCaller;
  std::shared_ptr<Quota> quota_;
};

// The memory that a program may use to serve requests: the bytes that requests in flight hold
// together, and those reserved for the threads that compute them. Thread-safe; blocks at most for a
// mutex, and only where it refuses.
class MemoryBudget {
 public:
  // The requests of one caller hold at most `max_caller_bytes` together; one request may hold
  // more if its caller has no other. `clock` outlives the budget and its charges.
  explicit MemoryBudget(int64_t max_bytes,
                        int64_t max_caller_bytes = std::numeric_limits<int64_t>::max(),
                        const Clock& clock = Clock::Steady());

  // Sets `bytes` >= 0 aside for good: memory that is held whether there are requests or not.
  // They are no longer available to requests.
  void Reserve(int64_t bytes);

  // Takes `bytes` >= 0 for a request of `caller` <= kMaxCallers. RESOURCE_EXHAUSTED with pushback
  // and reason "CALLER_MEMORY" if they exceed the caller's share now, "MEMORY" if they do not fit
  // now; without pushback and with reason "TOO_LARGE" if they never will. The pushback is the time
  // in which the missing bytes should be given back, at the rate of the last second. The charge is
  // one request of `quota`, unless that is nullptr, and may fail as Quota::Enter does.
  absl::StatusOr<MemoryCharge> Charge(int64_t bytes, CallerId caller = kSharedCaller,
                                      std::shared_ptr<Quota> quota = nullptr);

  // Tells whether a byte could be charged now. Fails as Charge does.
  absl::Status CheckRoom(CallerId caller = kSharedCaller) const;

  // Whether `bytes` >= 0 could be charged now. For a caller that waits instead of being refused.
  bool HasRoom(int64_t bytes, CallerId caller = kSharedCaller) const;

  // The bytes that all requests may hold together: the whole budget less the reserved bytes.
  int64_t request_bytes() const;

  // The bytes that requests hold now.
  int64_t used_bytes() const;

 private:
  const std::shared_ptr<internal::ByteCounter> counter_;
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_MEMORY_BUDGET_H_
