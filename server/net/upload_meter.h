// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_UPLOAD_METER_H_
#define ATTEND_SERVER_NET_UPLOAD_METER_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/string_view.h"
#include "core/base/mutex.h"

namespace attend {

// Returns the bytes that a TCP connection has received since it was opened, without what answers
// bytes that were sent; 0 if its descriptor is no such connection.
int64_t ReceivedBytes(int fd);

// A point in what a connection has received.
struct UploadMark {
  int64_t unexplained = std::numeric_limits<int64_t>::max();
};

// Estimates how many bytes a connection has sent of messages that are not complete yet. gRPC holds
// these bytes, and tells neither how many there are nor how long a message will be; the kernel
// counts what a TCP connection has received in all.
//
// The estimate is what the connection received since the oldest message under way began, less the
// messages that were completed meanwhile. It is too high by what gRPC dropped in that time: the
// messages of calls that were refused or cancelled.
//
// BytesOf is the estimate for one message. It begins where the meter was last told of any, and
// forgets what came before another message was given up, which gRPC may have dropped. Thread-safe.
class UploadMeter {
 public:
  // Returns the bytes that the connection has received since it was opened. Must not block.
  using Received = std::function<int64_t()>;

  explicit UploadMeter(Received received) : received_(std::move(received)) {}

  // The next message of a call is awaited. Returns its number, for End. `begins` is what End
  // returned for the message of the call before it.
  uint64_t Begin(UploadMark begins = {});

  // It has come, with `bytes` bytes, or with 0 will not come. Returns where the next message of the
  // same call may begin: its caller may have sent it already.
  UploadMark End(uint64_t message, int64_t bytes);

  // A call has ended, of which no message was awaited.
  void Skip();

  int64_t UnfinishedBytes();

  // What the connection received that no complete message explains, since it was opened.
  int64_t UnexplainedBytes();

  // Estimates how much of an awaited message has come.
  int64_t BytesOf(uint64_t message);

  // The connection has ended: `received` is called no more, and nothing is unfinished.
  void Close();

 private:
  // Bytes that no complete message explains.
  int64_t Unexplained() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What came so far may belong to a message that gRPC has dropped. Returns the end of it.
  UploadMark GiveUp() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  Received received_ ABSL_GUARDED_BY(mutex_);
  int64_t explained_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t last_ ABSL_GUARDED_BY(mutex_) = 0;  // Unexplained() when a message last began or ended
  uint64_t next_message_ ABSL_GUARDED_BY(mutex_) = 0;
  struct Awaited {
    int64_t unexplained = 0;  // when it was awaited
    UploadMark begins;
  };
  std::map<uint64_t, Awaited> awaited_ ABSL_GUARDED_BY(mutex_);
};

// Returns the meter of the connection with a peer, named as gRPC does; nullptr if there is none.
using FindUploadMeter = std::function<std::shared_ptr<UploadMeter>(absl::string_view peer)>;

}  // namespace attend

#endif  // ATTEND_SERVER_NET_UPLOAD_METER_H_
