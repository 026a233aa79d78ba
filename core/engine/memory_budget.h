#ifndef ATTEND_CORE_ENGINE_MEMORY_BUDGET_H_
#define ATTEND_CORE_ENGINE_MEMORY_BUDGET_H_

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"

namespace attend {

class MemoryBudget;

// Bytes taken from a budget, given back by the destructor. Move-only. Must not
// outlive its budget.
class MemoryCharge {
 public:
  MemoryCharge() = default;
  MemoryCharge(MemoryCharge&& other) noexcept;
  MemoryCharge& operator=(MemoryCharge&& other) noexcept;
  ~MemoryCharge();

  // Takes `bytes` >= 0 more, or fails as MemoryBudget::Charge does; the charge is
  // then as before. Precondition: made by a budget.
  absl::Status Grow(int64_t bytes);

  int64_t bytes() const { return bytes_; }

 private:
  friend class MemoryBudget;
  MemoryCharge(MemoryBudget* budget, int64_t bytes) : budget_(budget), bytes_(bytes) {}
  void Release();

  MemoryBudget* budget_ = nullptr;
  int64_t bytes_ = 0;
};

// The bytes that requests in flight may hold together. Thread-safe, never blocks.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // Takes `bytes` >= 0. RESOURCE_EXHAUSTED, with pushback and reason "MEMORY",
  // where they do not fit now; without pushback and "TOO_LARGE" where they never
  // will, nor beside what the same request holds already in `held`.
  absl::StatusOr<MemoryCharge> Charge(int64_t bytes, const MemoryCharge& held = {});

  int64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  int64_t max_bytes() const { return max_bytes_; }

 private:
  friend class MemoryCharge;
  // `held`: what the same charge has already.
  absl::Status Take(int64_t bytes, int64_t held);

  const int64_t max_bytes_;
  std::atomic<int64_t> used_bytes_{0};
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_MEMORY_BUDGET_H_
