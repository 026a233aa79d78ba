// SPDX-License-Identifier: Apache-2.0
#include "server/net/open_calls.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/status.h"

namespace attend {
namespace {

// Nothing tells when a call will end.
constexpr absl::Duration kPushback = absl::Milliseconds(100);

}  // namespace

absl::Status OpenCalls::Enter(absl::string_view caller) {
  MutexLock lock(mutex_);
  if (stats_.open >= limits_.calls) {
    ++stats_.refused_total;
    return Overloaded("CALLS",
                      absl::StrCat("the server has ", limits_.calls,
                                   " calls open, the most that it takes at once"),
                      kPushback);
  }
  int64_t& calls = callers_[caller];
  if (calls >= limits_.per_caller) {
    ++stats_.refused_caller;
    return Overloaded("CALLER_CALLS",
                      absl::StrCat("the caller has ", limits_.per_caller,
                                   " calls open, the most that the server takes of one at once"),
                      kPushback);
  }
  ++calls;
  ++stats_.open;
  return absl::OkStatus();
}

void OpenCalls::Leave(absl::string_view caller) {
  MutexLock lock(mutex_);
  --stats_.open;
  const auto found = callers_.find(caller);
  if (--found->second == 0) callers_.erase(found);
}

OpenCallStats OpenCalls::stats() const {
  MutexLock lock(mutex_);
  return stats_;
}

}  // namespace attend
