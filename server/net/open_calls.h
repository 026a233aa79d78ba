// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_OPEN_CALLS_H_
#define ATTEND_SERVER_NET_OPEN_CALLS_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/mutex.h"

namespace attend {

struct OpenCallLimits {
  int64_t calls = 4096;       // open at once
  int64_t per_caller = 2048;  // likewise, of one caller
};

// Counts since the start, and the calls that are open now.
struct OpenCallStats {
  int64_t open = 0;
  int64_t refused_total = 0;   // OpenCallLimits::calls
  int64_t refused_caller = 0;  // OpenCallLimits::per_caller
};

// Bounds the calls that are open at once, of any method, from their headers on. gRPC holds about
// 16 KB for each, whether or not it ever sends a message (measured with 65,536 of them), and bounds
// those of one connection only. Thread-safe.
class OpenCalls {
 public:
  explicit OpenCalls(const OpenCallLimits& limits) : limits_(limits) {}

  // A call of `caller` begins. RESOURCE_EXHAUSTED with pushback, and with reason "CALLER_CALLS" if
  // the caller has too many, "CALLS" if there are too many in all: the call is not counted then.
  absl::Status Enter(absl::string_view caller);

  // A call that was counted has ended.
  void Leave(absl::string_view caller);

  OpenCallStats stats() const;

 private:
  const OpenCallLimits limits_;
  mutable Mutex mutex_;
  OpenCallStats stats_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, int64_t> callers_ ABSL_GUARDED_BY(mutex_);  // their calls
};

}  // namespace attend

#endif  // ATTEND_SERVER_NET_OPEN_CALLS_H_
