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

  // Takes `bytes` >= 0 more for the same request, or fails as MemoryBudget::Charge does; the
  // charge is then as before. "TOO_LARGE" is then what will never fit beside what the charge
  // has already. Precondition: made by a budget.
  absl::Status Grow(int64_t bytes);

  // Gives `bytes` back. Precondition: 0 <= bytes <= bytes().
  void Shrink(int64_t bytes);

  int64_t bytes() const { return bytes_; }

 private:
  friend class MemoryBudget;
  MemoryCharge(std::shared_ptr<internal::ByteCounter> counter, int64_t bytes);

  std::shared_ptr<internal::ByteCounter> counter_;
  int64_t bytes_ = 0;
};

// The memory that a program has for serving requests: what requests in flight hold together,
// and what is reserved for whoever computes them. Thread-safe, never blocks.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t max_bytes);

  // Sets `bytes` >= 0 aside for good: memory that is held whether there are requests or not.
  // So much less is left for requests.
  void Reserve(int64_t bytes);

  // Takes `bytes` >= 0 for a request. RESOURCE_EXHAUSTED, with pushback and reason "MEMORY",
  // where they do not fit now; without pushback and "TOO_LARGE" where they never will.
  absl::StatusOr<MemoryCharge> Charge(int64_t bytes);

  // What all requests may hold together: the whole less what is reserved.
  int64_t request_bytes() const;

  // What requests hold now.
  int64_t used_bytes() const;

 private:
  const std::shared_ptr<internal::ByteCounter> counter_;
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_MEMORY_BUDGET_H_
