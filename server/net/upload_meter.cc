// SPDX-License-Identifier: Apache-2.0
#include "server/net/upload_meter.h"

#include <algorithm>
#include <optional>

#include "server/net/tcp_info.h"

namespace attend {
namespace {

// What is sent around a message. The headers of a call may have 8 KiB and usually have a few
// hundred bytes; frames of 16 KiB have heads of 9 bytes, and records of TLS 22 bytes more. What is
// assumed too much hides so many bytes of an unfinished message.
constexpr int64_t kHeaderBytes = 2 << 10;
constexpr int64_t kBytesPerFrameByte = 64;

// What a peer sends of its own for the bytes that it takes in: two updates of windows, of 13 bytes
// each, for 16 KiB and rarely for less.
constexpr uint64_t kBytesPerUpdateByte = 512;

}  // namespace

int64_t ReceivedBytes(int fd) {
  const std::optional<tcp_info> info = ReadTcpInfo(fd);
  if (!info) return 0;
  return static_cast<int64_t>(info->tcpi_bytes_received -
                              info->tcpi_bytes_acked / kBytesPerUpdateByte);
}

uint64_t UploadMeter::Begin(UploadMark begins) {
  MutexLock lock(mutex_);
  const int64_t now = Unexplained();
  const int64_t before = std::min(last_, now);
  awaited_.emplace_hint(awaited_.end(), next_message_,
                        Awaited{now, {std::min(begins.unexplained, before)}});
  last_ = now;
  return next_message_++;
}

UploadMark UploadMeter::End(uint64_t message, int64_t bytes) {
  MutexLock lock(mutex_);
  const auto found = awaited_.find(message);
  if (found == awaited_.end()) return {};  // after Close
  UploadMark next = found->second.begins;
  awaited_.erase(found);
  if (bytes > 0) {
    explained_ += bytes + bytes / kBytesPerFrameByte + kHeaderBytes;
    last_ = Unexplained();
    next.unexplained = std::min(next.unexplained, last_);
    return next;
  }
  return GiveUp();
}

void UploadMeter::Skip() {
  MutexLock lock(mutex_);
  GiveUp();
}

UploadMark UploadMeter::GiveUp() {
  last_ = Unexplained();
  for (auto& [number, awaited] : awaited_) awaited.begins = {last_};
  return {last_};
}

int64_t UploadMeter::UnfinishedBytes() {
  MutexLock lock(mutex_);
  if (awaited_.empty()) return 0;
  const int64_t now = Unexplained();
  int64_t& oldest = awaited_.begin()->second.unexplained;
  oldest = std::min(oldest, now);  // what was assumed too much must not hide later bytes
  return now - oldest;
}

int64_t UploadMeter::UnexplainedBytes() {
  MutexLock lock(mutex_);
  return Unexplained();
}

int64_t UploadMeter::BytesOf(uint64_t message) {
  MutexLock lock(mutex_);
  const auto found = awaited_.find(message);
  if (found == awaited_.end()) return 0;
  const int64_t now = Unexplained();
  int64_t& begins = found->second.begins.unexplained;
  begins = std::min(begins, now);
  return now - begins;
}

void UploadMeter::Close() {
  MutexLock lock(mutex_);
  received_ = nullptr;
  awaited_.clear();
}

int64_t UploadMeter::Unexplained() {
  return received_ ? received_() - explained_ : 0;
}

}  // namespace attend
