// SPDX-License-Identifier: Apache-2.0
#include "server/calls/call_progress.h"

#include "core/engine/failures.h"

namespace attend {

CallProgress::~CallProgress() {
  MutexLock lock(mutex_);
  if (meter_ != nullptr && read_.begun == 0) meter_->Skip();
}

void CallProgress::BeginRead() {
  MutexLock lock(mutex_);
  ++read_.begun;
  read_.under_way = true;
  if (meter_ == nullptr) return;
  // What cannot be metered for want of memory is received all the same.
  CatchFailures([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    metered_ = meter_->Begin(next_);
  }).IgnoreError();
}

void CallProgress::EndRead(int64_t bytes) {
  MutexLock lock(mutex_);
  read_.under_way = false;
  if (metered_.has_value()) next_ = meter_->End(*metered_, bytes);
  metered_.reset();
}

void CallProgress::BeginWrite() {
  MutexLock lock(mutex_);
  ++written_.begun;
  written_.under_way = true;
}

void CallProgress::EndWrite() {
  MutexLock lock(mutex_);
  written_.under_way = false;
}

bool CallProgress::IsStalled() {
  MutexLock lock(mutex_);
  const bool receives =
      read_.under_way && metered_.has_value() && meter_->BytesOf(*metered_) > kMinBytes;
  const bool read_stalls = Look(read_, receives);
  return Look(written_, written_.under_way) || read_stalls;
}

bool CallProgress::Look(Messages& messages, bool under_way) {
  const uint64_t now = under_way ? messages.begun : 0;
  const bool stalls = now != 0 && now == messages.seen;
  messages.seen = now;
  return stalls;
}

}  // namespace attend
