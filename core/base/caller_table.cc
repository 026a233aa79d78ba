// SPDX-License-Identifier: Apache-2.0
#include "core/base/caller_table.h"

#include <arpa/inet.h>

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/mutex.h"

namespace attend {
namespace internal {

// The state that a table and its handles share.
class CallerNames {
 public:
  explicit CallerNames(CallerId max_callers) : entries_(size_t{max_callers} + 1) {
    for (CallerId id = 1; id <= max_callers; ++id)
      entries_[id].idle = idle_.insert(idle_.end(), id);
  }

  CallerId Enter(absl::string_view name) {
    MutexLock lock(mutex_);
    auto known = ids_.find(name);
    if (known == ids_.end()) {
      if (idle_.empty()) return kSharedCaller;
      known = ids_.emplace(std::string(name), idle_.front()).first;
      Entry& entry = entries_[known->second];
      if (entry.named) ids_.erase(entry.name);
      entry.named = true;
      entry.name = known;
    }
    Entry& entry = entries_[known->second];
    if (entry.handles++ == 0) in_use_.splice(in_use_.begin(), idle_, entry.idle);
    return known->second;
  }

  void Leave(CallerId id) {
    MutexLock lock(mutex_);
    Entry& entry = entries_[id];
    if (--entry.handles == 0) idle_.splice(idle_.end(), in_use_, entry.idle);
  }

 private:
  using Ids = std::map<std::string, CallerId, std::less<>>;
  struct Entry {
    bool named = false;
    Ids::iterator name;
    std::list<CallerId>::iterator idle;  // in one of the lists
    int64_t handles = 0;
  };

  Mutex mutex_;
  Ids ids_ ABSL_GUARDED_BY(mutex_);
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // indexed by id
  std::list<CallerId> idle_ ABSL_GUARDED_BY(mutex_);    // without handles, the longest idle first
  std::list<CallerId> in_use_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace internal

CallerHandle::CallerHandle(std::shared_ptr<internal::CallerNames> names, CallerId id)
    : names_(std::move(names)), id_(id) {}

CallerHandle::CallerHandle(CallerHandle&& other) noexcept
    : names_(std::move(other.names_)), id_(std::exchange(other.id_, kSharedCaller)) {}

CallerHandle& CallerHandle::operator=(CallerHandle&& other) noexcept {
  CallerHandle moved(std::move(other));
  std::swap(names_, moved.names_);
  std::swap(id_, moved.id_);
  return *this;
}

CallerHandle::~CallerHandle() {
  if (names_ != nullptr) names_->Leave(id_);
}

CallerTable::CallerTable(CallerId max_callers)
    : names_(std::make_shared<internal::CallerNames>(max_callers)) {}

CallerHandle CallerTable::Enter(absl::string_view name) {
  const CallerId id = names_->Enter(name);
  return id == kSharedCaller ? CallerHandle() : CallerHandle(names_, id);
}

std::string CallerName(absl::string_view peer) {
  if (absl::StartsWith(peer, "unix")) return "unix";
  const size_t port = peer.rfind(':');
  const size_t scheme = peer.find(':');
  if (port == peer.npos || port == scheme) return std::string(peer);
  const absl::string_view name = peer.substr(0, port);
  if (!absl::ConsumePrefix(&peer, "ipv6:")) return std::string(name);
  // gRPC may write the brackets as in a URI.
  std::string host =
      absl::StrReplaceAll(name.substr(5), {{"%5B", ""}, {"%5D", ""}, {"[", ""}, {"]", ""}});
  host = host.substr(0, host.find('%'));  // without the zone
  in6_addr address;
  char text[INET6_ADDRSTRLEN];
  if (inet_pton(AF_INET6, host.c_str(), &address) != 1 || IN6_IS_ADDR_V4MAPPED(&address)) {
    return std::string(name);
  }
  std::fill(address.s6_addr + 8, address.s6_addr + 16, uint8_t{0});
  if (inet_ntop(AF_INET6, &address, text, sizeof(text)) == nullptr) return std::string(name);
  return absl::StrCat("ipv6:", text, "/64");
}

}  // namespace attend
