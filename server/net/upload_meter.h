// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_UPLOAD_METER_H_
#define ATTEND_SERVER_NET_UPLOAD_METER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/string_view.h"
#include "core/base/mutex.h"

namespace attend {

// Estimates how many bytes a connection has sent of messages that are not complete yet. gRPC holds
// these bytes, and tells neither how many there are nor how long a message will be; the kernel
// counts what a TCP connection has received in all.
//
// The estimate is what the connection received since the oldest message under way began, less the
// messages that were completed meanwhile. It is too high by what gRPC dropped in that time: the
// messages of calls that were refused or cancelled. Thread-safe.
class UploadMeter {
 public:
  // Returns the bytes that the connection has received since it was opened. Must not block.
  using Received = std::function<int64_t()>;

  explicit UploadMeter(Received received) : received_(std::move(received)) {}

  // The next message of a call is awaited. Returns its number, for End.
  uint64_t Begin();

  // It has come, with `bytes` bytes, or with 0 will not come.
  void End(uint64_t message, int64_t bytes);

  int64_t UnfinishedBytes();

  // The connection has ended: `received` is called no more, and nothing is unfinished.
  void Close();

 private:
  // Bytes that no complete message explains.
  int64_t Unexplained() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  Received received_ ABSL_GUARDED_BY(mutex_);
  int64_t explained_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_message_ ABSL_GUARDED_BY(mutex_) = 0;
  // Unexplained() when each message under way began.
  std::map<uint64_t, int64_t> began_ ABSL_GUARDED_BY(mutex_);
};

// Returns the meter of the connection with a peer, named as gRPC does; nullptr if there is none.
using FindUploadMeter = std::function<std::shared_ptr<UploadMeter>(absl::string_view peer)>;

}  // namespace attend

#endif  // ATTEND_SERVER_NET_UPLOAD_METER_H_
