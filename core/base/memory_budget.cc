// SPDX-License-Identifier: Apache-2.0
#include "core/base/memory_budget.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

// Requests end, and free their memory, within tens of milliseconds.
constexpr absl::Duration kPushback = absl::Milliseconds(50);

}  // namespace

namespace internal {

// The state that a budget and its charges share. All memory orders are relaxed, because the
// numbers guard no other memory.
class ByteCounter {
 public:
  explicit ByteCounter(int64_t limit) : limit_(limit) {}

  int64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  int64_t used() const { return used_.load(std::memory_order_relaxed); }

  void LowerLimit(int64_t bytes) {
    int64_t limit = this->limit();
    while (!limit_.compare_exchange_weak(limit, std::max<int64_t>(limit - bytes, 0),
                                         std::memory_order_relaxed)) {
    }
  }

  // `held` is what the same request has taken already.
  absl::Status Take(int64_t bytes, int64_t held) {
    const int64_t limit = this->limit();
    if (bytes > limit - held) {
      return MakeError(absl::StatusCode::kResourceExhausted, "TOO_LARGE", "",
                       absl::StrCat("the request needs more memory than the ", limit,
                                    " bytes that this server has for all requests"));
    }
    int64_t used = this->used();
    do {
      if (bytes > limit - used) {
        return Overloaded("MEMORY",
                          "the memory budget for requests is exhausted; try again later or use "
                          "another server",
                          kPushback);
      }
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return absl::OkStatus();
  }

  // Whether Take would succeed now.
  absl::Status Check(int64_t bytes, int64_t held) {
    ATTEND_RETURN_IF_ERROR(Take(bytes, held));
    GiveBack(bytes);
    return absl::OkStatus();
  }

  void GiveBack(int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> limit_;
  std::atomic<int64_t> used_{0};
};

}  // namespace internal

MemoryCharge::MemoryCharge() = default;

MemoryCharge::MemoryCharge(std::shared_ptr<internal::ByteCounter> counter, int64_t bytes)
    : counter_(std::move(counter)), bytes_(bytes) {}

MemoryCharge::MemoryCharge(MemoryCharge&& other) noexcept
    : counter_(std::move(other.counter_)), bytes_(std::exchange(other.bytes_, 0)) {}

MemoryCharge& MemoryCharge::operator=(MemoryCharge&& other) noexcept {
  if (this != &other) {
    Shrink(bytes_);
    counter_ = std::move(other.counter_);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

MemoryCharge::~MemoryCharge() {
  Shrink(bytes_);
}

absl::Status MemoryCharge::Grow(int64_t bytes) {
  ATTEND_RETURN_IF_ERROR(counter_->Take(bytes, bytes_));
  bytes_ += bytes;
  return absl::OkStatus();
}

void MemoryCharge::Shrink(int64_t bytes) {
  if (bytes > 0) counter_->GiveBack(bytes);
  bytes_ -= bytes;
}

MemoryBudget::MemoryBudget(int64_t max_bytes)
    : counter_(std::make_shared<internal::ByteCounter>(max_bytes)) {}

void MemoryBudget::Reserve(int64_t bytes) {
  counter_->LowerLimit(bytes);
}

absl::StatusOr<MemoryCharge> MemoryBudget::Charge(int64_t bytes) {
  ATTEND_RETURN_IF_ERROR(counter_->Take(bytes, /*held=*/0));
  return MemoryCharge(counter_, bytes);
}

absl::Status MemoryBudget::CheckRoom() const {
  return counter_->Check(/*bytes=*/1, /*held=*/0);
}

int64_t MemoryBudget::request_bytes() const {
  return counter_->limit();
}

int64_t MemoryBudget::used_bytes() const {
  return counter_->used();
}

}  // namespace attend
