#include "core/engine/memory_budget.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

// Requests leave within tens of milliseconds, and with them their memory.
constexpr absl::Duration kPushback = absl::Milliseconds(50);

}  // namespace

MemoryCharge::MemoryCharge(MemoryCharge&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

MemoryCharge& MemoryCharge::operator=(MemoryCharge&& other) noexcept {
  if (this != &other) {
    Release();
    budget_ = std::exchange(other.budget_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

MemoryCharge::~MemoryCharge() {
  Release();
}

void MemoryCharge::Release() {
  if (budget_ != nullptr) budget_->used_bytes_.fetch_sub(bytes_, std::memory_order_relaxed);
  budget_ = nullptr;
  bytes_ = 0;
}

absl::Status MemoryCharge::Grow(int64_t bytes) {
  ATTEND_RETURN_IF_ERROR(budget_->Take(bytes, bytes_));
  bytes_ += bytes;
  return absl::OkStatus();
}

absl::StatusOr<MemoryCharge> MemoryBudget::Charge(int64_t bytes, const MemoryCharge& held) {
  ATTEND_RETURN_IF_ERROR(Take(bytes, held.bytes()));
  return MemoryCharge(this, bytes);
}

absl::Status MemoryBudget::Take(int64_t bytes, int64_t held) {
  if (bytes > max_bytes_ - held) {
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_LARGE", "",
                     absl::StrCat("the request needs more memory than the ", max_bytes_,
                                  " bytes that this server has for all requests"));
  }
  int64_t used = used_bytes_.load(std::memory_order_relaxed);
  do {
    if (bytes > max_bytes_ - used) {
      return Overloaded("MEMORY",
                        "the memory for requests is in use; try again later or use another server",
                        kPushback);
    }
    // Relaxed: the counter guards no other memory.
  } while (!used_bytes_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return absl::OkStatus();
}

}  // namespace attend
