// SPDX-License-Identifier: Apache-2.0
#include "core/base/memory_budget.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "core/base/status.h"

namespace attend {
namespace {

// What a refused caller waits before its next attempt: the time in which the missing bytes should
// be given back, at the rate of the last second, within these bounds.
constexpr absl::Duration kMinPushback = absl::Milliseconds(10);
constexpr absl::Duration kMaxPushback = absl::Seconds(2);
// Requests end, and free their memory, within tens of milliseconds.
constexpr absl::Duration kUnknownPushback = absl::Milliseconds(50);

constexpr absl::Duration kRatePeriod = absl::Milliseconds(100);
constexpr absl::Duration kOldestRate = absl::Seconds(1);

// Adds `bytes` to `used` unless that makes more than `limit`; returns how many bytes are missing,
// 0 if they were added.
int64_t AddWithin(std::atomic<int64_t>& used, int64_t bytes, int64_t limit) {
  int64_t now = used.load(std::memory_order_relaxed);
  do {
    if (bytes > limit - now) return bytes - (limit - now);
  } while (!used.compare_exchange_weak(now, now + bytes, std::memory_order_relaxed));
  return 0;
}

}  // namespace

namespace internal {

// The rate at which bytes are given back, looked at when a request is refused.
class ReleaseRate {
 public:
  explicit ReleaseRate(const Clock& clock) : clock_(clock) {}

  void Add(int64_t bytes) { released_.fetch_add(bytes, std::memory_order_relaxed); }

  // Returns the time in which `bytes` should be given back.
  absl::Duration TimeFor(int64_t bytes) {
    const absl::Time now = clock_.Now();
    const int64_t released = released_.load(std::memory_order_relaxed);
    MutexLock lock(mutex_);
    const absl::Duration age = now - since_;
    if (age > kOldestRate) {
      // Nobody was refused lately: the time before tells nothing about this load.
      bytes_per_second_ = -1;
    } else if (age >= kRatePeriod) {
      bytes_per_second_ =
          static_cast<double>(released - released_then_) / absl::ToDoubleSeconds(age);
    }
    if (age >= kRatePeriod) {
      since_ = now;
      released_then_ = released;
    }
    if (bytes_per_second_ < 0) return kUnknownPushback;
    if (bytes_per_second_ == 0) return kMaxPushback;
    const absl::Duration time = absl::Seconds(static_cast<double>(bytes) / bytes_per_second_);
    return std::clamp(time, kMinPushback, kMaxPushback);
  }

 private:
  const Clock& clock_;
  std::atomic<int64_t> released_{0};
  Mutex mutex_;
  absl::Time since_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int64_t released_then_ ABSL_GUARDED_BY(mutex_) = 0;
  double bytes_per_second_ ABSL_GUARDED_BY(mutex_) = -1;  // negative: unknown
};

// The state that a budget and its charges share. All memory orders are relaxed, because the
// numbers guard no other memory.
class ByteCounter {
 public:
  ByteCounter(int64_t limit, int64_t caller_limit, const Clock& clock)
      : limit_(limit), caller_limit_(caller_limit), rate_(clock) {}

  int64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  int64_t used() const { return used_.load(std::memory_order_relaxed); }

  void LowerLimit(int64_t bytes) {
    int64_t limit = this->limit();
    while (!limit_.compare_exchange_weak(limit, std::max<int64_t>(limit - bytes, 0),
                                         std::memory_order_relaxed)) {
    }
  }

  // `held` is what the same request has taken already.
  absl::Status Take(int64_t bytes, int64_t held, CallerId caller) {
    const int64_t limit = this->limit();
    if (bytes > limit - held) {
      return MakeError(absl::StatusCode::kResourceExhausted, "TOO_LARGE", "",
                       absl::StrCat("the request needs more memory than the ", limit,
                                    " bytes that this server has for all requests"));
    }
    std::atomic<int64_t>& own = callers_[caller];
    // A request may exceed the share if its caller holds nothing else.
    const int64_t share = std::max(caller_limit_, held + bytes);
    if (const int64_t missing = AddWithin(own, bytes, share); missing > 0) {
      return Overloaded("CALLER_MEMORY",
                        absl::StrCat("the caller's other requests hold its share of the server's "
                                     "memory, ",
                                     caller_limit_, " bytes; wait for their answers and read them"),
                        rate_.TimeFor(missing));
    }
    if (const int64_t missing = AddWithin(used_, bytes, limit); missing > 0) {
      own.fetch_sub(bytes, std::memory_order_relaxed);
      return Overloaded("MEMORY",
                        "the memory budget for requests is exhausted; try again later or use "
                        "another server",
                        rate_.TimeFor(missing));
    }
    return absl::OkStatus();
  }

  bool HasRoom(int64_t bytes, CallerId caller) const {
    const int64_t share = std::max(caller_limit_, bytes);  // as in Take
    return bytes <= share - callers_[caller].load(std::memory_order_relaxed) &&
           bytes <= limit() - used();
  }

  void Return(int64_t bytes, CallerId caller) {
    callers_[caller].fetch_sub(bytes, std::memory_order_relaxed);
    used_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  void GiveBack(int64_t bytes, CallerId caller) {
    Return(bytes, caller);
    rate_.Add(bytes);
  }

 private:
  std::atomic<int64_t> limit_;
  const int64_t caller_limit_;
  std::atomic<int64_t> used_{0};
  // Indexed by CallerId. A refusal for want of memory adds its bytes for a moment.
  std::array<std::atomic<int64_t>, kMaxCallers + 1> callers_{};
  ReleaseRate rate_;
};

}  // namespace internal

MemoryCharge::MemoryCharge() = default;

MemoryCharge::MemoryCharge(std::shared_ptr<internal::ByteCounter> counter, int64_t bytes,
                           CallerId caller, std::shared_ptr<Quota> quota)
    : counter_(std::move(counter)), bytes_(bytes), caller_(caller), quota_(std::move(quota)) {}

MemoryCharge::MemoryCharge(MemoryCharge&& other) noexcept
    : counter_(std::move(other.counter_)),
      bytes_(std::exchange(other.bytes_, 0)),
      caller_(other.caller_),
      quota_(std::move(other.quota_)) {}

MemoryCharge& MemoryCharge::operator=(MemoryCharge&& other) noexcept {
  if (this != &other) {
    Release();
    counter_ = std::move(other.counter_);
    bytes_ = std::exchange(other.bytes_, 0);
    caller_ = other.caller_;
    quota_ = std::move(other.quota_);
  }
  return *this;
}

MemoryCharge::~MemoryCharge() {
  Release();
}

void MemoryCharge::Release() {
  if (bytes_ > 0) counter_->GiveBack(bytes_, caller_);
  if (quota_ != nullptr) quota_->Leave(bytes_);
  bytes_ = 0;
  quota_.reset();
}

absl::Status MemoryCharge::Grow(int64_t bytes) {
  if (quota_ != nullptr) ATTEND_RETURN_IF_ERROR(quota_->Grow(bytes, bytes_));
  if (absl::Status full = counter_->Take(bytes, bytes_, caller_); !full.ok()) {
    if (quota_ != nullptr) quota_->Shrink(bytes);
    return full;
  }
  bytes_ += bytes;
  return absl::OkStatus();
}

void MemoryCharge::Shrink(int64_t bytes) {
  if (bytes > 0) counter_->GiveBack(bytes, caller_);
  if (quota_ != nullptr) quota_->Shrink(bytes);
  bytes_ -= bytes;
}

MemoryBudget::MemoryBudget(int64_t max_bytes, int64_t max_caller_bytes, const Clock& clock)
    : counter_(std::make_shared<internal::ByteCounter>(max_bytes, max_caller_bytes, clock)) {}

void MemoryBudget::Reserve(int64_t bytes) {
  counter_->LowerLimit(bytes);
}

absl::StatusOr<MemoryCharge> MemoryBudget::Charge(int64_t bytes, CallerId caller,
                                                  std::shared_ptr<Quota> quota) {
  if (quota != nullptr) ATTEND_RETURN_IF_ERROR(quota->Enter(bytes));
  if (absl::Status full = counter_->Take(bytes, /*held=*/0, caller); !full.ok()) {
    if (quota != nullptr) quota->Leave(bytes);
    return full;
  }
  return MemoryCharge(counter_, bytes, caller, std::move(quota));
}

absl::Status MemoryBudget::CheckRoom(CallerId caller) const {
  ATTEND_RETURN_IF_ERROR(counter_->Take(/*bytes=*/1, /*held=*/0, caller));
  counter_->Return(1, caller);
  return absl::OkStatus();
}

bool MemoryBudget::HasRoom(int64_t bytes, CallerId caller) const {
  return counter_->HasRoom(bytes, caller);
}

int64_t MemoryBudget::request_bytes() const {
  return counter_->limit();
}

int64_t MemoryBudget::used_bytes() const {
  return counter_->used();
}

}  // namespace attend
