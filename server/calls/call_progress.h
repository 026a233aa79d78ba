// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_CALL_PROGRESS_H_
#define ATTEND_SERVER_CALLS_CALL_PROGRESS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "core/base/mutex.h"
#include "server/net/upload_meter.h"

namespace attend {

// The message that a call receives and the one that it sends. gRPC does not tell how much of a
// message has come; the meter of the call's connection estimates it. At most one message is
// received and one sent at once. Thread-safe.
class CallProgress {
 public:
  // An idle stream is open for at least this much memory in any case (see OpenCalls): a message of
  // which less has come is not counted as under way.
  static constexpr int64_t kMinBytes = 16 << 10;

  ~CallProgress();

  // `meter` may be nullptr: no message counts as under way while it is received.
  void SetMeter(std::shared_ptr<UploadMeter> meter) { meter_ = std::move(meter); }

  // The next message is awaited.
  void BeginRead();
  // It has come, with `bytes` bytes, or with 0 will not come.
  void EndRead(int64_t bytes);

  // A message, or the call's status, is sent from now on.
  void BeginWrite();
  // It has left.
  void EndWrite();

  // Whether a message is under way that was so when this was called before.
  bool IsStalled();

 private:
  // Messages are numbered from 1 on.
  struct Messages {
    uint64_t begun = 0;
    uint64_t seen = 0;  // the one that was under way at the last look, or 0
    bool under_way = false;
  };
  static bool Look(Messages& messages, bool under_way);

  std::shared_ptr<UploadMeter> meter_;
  Mutex mutex_;
  Messages read_ ABSL_GUARDED_BY(mutex_);
  Messages written_ ABSL_GUARDED_BY(mutex_);
  // The number of the message in `meter_`, if it is metered.
  std::optional<uint64_t> metered_ ABSL_GUARDED_BY(mutex_);
  UploadMark next_ ABSL_GUARDED_BY(mutex_);  // where the next message may begin
};

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_CALL_PROGRESS_H_
