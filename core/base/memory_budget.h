// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_MEMORY_BUDGET_H_
#define ATTEND_CORE_BASE_MEMORY_BUDGET_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

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

 private:
  friend class MemoryBudget;
  MemoryCharge(std::shared_ptr<internal::ByteCounter> counter, int64_t bytes);

  std::shared_ptr<internal::ByteCounter> counter_;
  int64_t bytes_ = 0;
};

// The memory that a program may use to serve requests: the bytes that requests in flight hold
// together, and those reserved for the threads that compute them. Thread-safe, never blocks.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t max_bytes);

  // Sets `bytes` >= 0 aside for good: memory that is held whether there are requests or not.
  // They are no longer available to requests.
  void Reserve(int64_t bytes);

  // Takes `bytes` >= 0 for a request. RESOURCE_EXHAUSTED with pushback and reason "MEMORY" if
  // they do not fit now; without pushback and with reason "TOO_LARGE" if they never will.
  absl::StatusOr<MemoryCharge> Charge(int64_t bytes);

  // Tells whether a byte could be charged now, without charging it. Fails as Charge does.
  absl::Status CheckRoom() const;

  // The bytes that all requests may hold together: the whole budget less the reserved bytes.
  int64_t request_bytes() const;

  // The bytes that requests hold now.
  int64_t used_bytes() const;

 private:
  const std::shared_ptr<internal::ByteCounter> counter_;
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_MEMORY_BUDGET_H_
