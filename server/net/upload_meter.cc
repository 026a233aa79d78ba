// SPDX-License-Identifier: Apache-2.0
#include "server/net/upload_meter.h"

#include <algorithm>

namespace attend {
namespace {

// What is sent around a message. The headers of a call may have 8 KiB and usually have a few
// hundred bytes; frames of 16 KiB have heads of 9 bytes, and records of TLS 22 bytes more. What is
// assumed too much hides so many bytes of an unfinished message.
constexpr int64_t kHeaderBytes = 2 << 10;
constexpr int64_t kBytesPerFrameByte = 64;

}  // namespace

uint64_t UploadMeter::Begin() {
  MutexLock lock(mutex_);
  began_.emplace_hint(began_.end(), next_message_, Unexplained());
  return next_message_++;
}

void UploadMeter::End(uint64_t message, int64_t bytes) {
  MutexLock lock(mutex_);
  began_.erase(message);
  if (bytes > 0) explained_ += bytes + bytes / kBytesPerFrameByte + kHeaderBytes;
}

int64_t UploadMeter::UnfinishedBytes() {
  MutexLock lock(mutex_);
  if (began_.empty()) return 0;
  const int64_t now = Unexplained();
  int64_t& oldest = began_.begin()->second;
  oldest = std::min(oldest, now);  // what was assumed too much must not hide later bytes
  return now - oldest;
}

void UploadMeter::Close() {
  MutexLock lock(mutex_);
  received_ = nullptr;
  began_.clear();
}

int64_t UploadMeter::Unexplained() {
  return received_ ? received_() - explained_ : 0;
}

}  // namespace attend
