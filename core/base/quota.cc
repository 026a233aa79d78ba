// SPDX-License-Identifier: Apache-2.0
#include "core/base/quota.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

// Requests end within tens of milliseconds; nothing tells when one of this user will.
constexpr absl::Duration kPushback = absl::Milliseconds(50);

// The bucket holds what is earned in so many seconds.
constexpr double kBurstSeconds = 1.0;

}  // namespace

Quota::Quota(const QuotaLimits& limits, const Clock& clock)
    : clock_(clock),
      limits_(limits),
      level_(limits.compute_rate * kBurstSeconds),
      filled_(clock.Now()) {}

void Quota::SetLimits(const QuotaLimits& limits) {
  MutexLock lock(mutex_);
  limits_ = limits;
  level_ = std::min(level_, limits.compute_rate * kBurstSeconds);
}

absl::Status Quota::CheckRoom() {
  MutexLock lock(mutex_);
  return Count(FindRoom(/*bytes=*/1));
}

bool Quota::HasRoom(int64_t bytes) {
  MutexLock lock(mutex_);
  return FindRoom(bytes).ok();
}

absl::Status Quota::Enter(int64_t bytes) {
  MutexLock lock(mutex_);
  ATTEND_RETURN_IF_ERROR(Count(CheckRequests()));
  ATTEND_RETURN_IF_ERROR(Count(CheckBytes(bytes, /*held=*/0)));
  ++use_.requests;
  use_.bytes += bytes;
  return absl::OkStatus();
}

absl::Status Quota::Grow(int64_t bytes, int64_t held) {
  MutexLock lock(mutex_);
  ATTEND_RETURN_IF_ERROR(Count(CheckBytes(bytes, held)));
  use_.bytes += bytes;
  return absl::OkStatus();
}

void Quota::Shrink(int64_t bytes) {
  MutexLock lock(mutex_);
  use_.bytes -= bytes;
}

void Quota::Leave(int64_t bytes) {
  MutexLock lock(mutex_);
  --use_.requests;
  use_.bytes -= bytes;
}

absl::Status Quota::Spend(double seconds) {
  MutexLock lock(mutex_);
  ATTEND_RETURN_IF_ERROR(Count(CheckCompute()));
  level_ -= seconds;
  use_.computed_seconds += seconds;
  return absl::OkStatus();
}

void Quota::Refund(double seconds) {
  MutexLock lock(mutex_);
  level_ = std::min(level_ + seconds, limits_.compute_rate * kBurstSeconds);
  use_.computed_seconds -= seconds;
}

Quota::Use Quota::use() const {
  MutexLock lock(mutex_);
  return use_;
}

absl::Status Quota::FindRoom(int64_t bytes) {
  ATTEND_RETURN_IF_ERROR(CheckRequests());
  ATTEND_RETURN_IF_ERROR(CheckBytes(bytes, /*held=*/0));
  return CheckCompute();
}

absl::Status Quota::CheckRequests() {
  if (use_.requests < limits_.requests) return absl::OkStatus();
  return Overloaded("QUOTA_REQUESTS",
                    absl::StrCat("your identity has ", limits_.requests,
                                 " requests in flight, the most that it may have; wait for their "
                                 "answers and read them"),
                    kPushback);
}

absl::Status Quota::CheckBytes(int64_t bytes, int64_t held) {
  if (bytes > limits_.bytes - held) {
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_LARGE", "",
                     absl::StrCat("the request needs more memory than the ", limits_.bytes,
                                  " bytes that your identity may hold"));
  }
  if (bytes <= limits_.bytes - use_.bytes) return absl::OkStatus();
  return Overloaded("QUOTA_MEMORY",
                    absl::StrCat("the other requests of your identity hold its share of the "
                                 "server's memory, ",
                                 limits_.bytes, " bytes; wait for their answers and read them"),
                    kPushback);
}

absl::Status Quota::CheckCompute() {
  const double rate = limits_.compute_rate;
  if (std::isinf(rate)) return absl::OkStatus();
  const absl::Time now = clock_.Now();
  level_ = std::min(level_ + rate * absl::ToDoubleSeconds(now - filled_), rate * kBurstSeconds);
  filled_ = now;
  if (level_ > 0) return absl::OkStatus();
  return Overloaded(
      "QUOTA_COMPUTE",
      absl::StrCat("your identity may have ", rate,
                   " seconds of predicted computing per second, and has used them up"),
      std::max(absl::Ceil(absl::Seconds(-level_ / rate), absl::Milliseconds(1)),
               absl::Milliseconds(1)));
}

absl::Status Quota::Count(absl::Status status) {
  if (!status.ok()) ++use_.refused;
  return status;
}

}  // namespace attend
