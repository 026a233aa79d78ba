// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_CALLER_TABLE_H_
#define ATTEND_CORE_BASE_CALLER_TABLE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace attend {

// A small number for one who makes calls, below kMaxCallers + 1: an index into tables.
using CallerId = uint32_t;

// The callers that are told apart at one time. All others share the id kSharedCaller.
inline constexpr CallerId kMaxCallers = 1024;
inline constexpr CallerId kSharedCaller = 0;

namespace internal {
class CallerNames;
}

// Holds a caller's id for one call. A caller keeps its id until the table needs it for another, so
// that what is remembered of an id is seldom taken for somebody else's. May outlive the table.
// Move-only. Thread-compatible.
class CallerHandle {
 public:
  CallerHandle() = default;  // holds kSharedCaller
  CallerHandle(CallerHandle&& other) noexcept;
  CallerHandle& operator=(CallerHandle&& other) noexcept;
  ~CallerHandle();

  CallerId id() const { return id_; }

 private:
  friend class CallerTable;
  CallerHandle(std::shared_ptr<internal::CallerNames> names, CallerId id);

  std::shared_ptr<internal::CallerNames> names_;  // nullptr: the id is kSharedCaller
  CallerId id_ = kSharedCaller;
};

// Gives names of callers small ids, so that what is kept for each of them is bounded. Thread-safe.
class CallerTable {
 public:
  // Tells at most `max_callers` <= kMaxCallers apart.
  explicit CallerTable(CallerId max_callers = kMaxCallers);

  // Two handles that live at the same time have the same id if the names are equal. The id is
  // kSharedCaller if the table is full of callers with handles. An id without handles is given to
  // another name once no other is left, the one that has been idle for longest first. Blocks at
  // most for a mutex.
  CallerHandle Enter(absl::string_view name);

 private:
  const std::shared_ptr<internal::CallerNames> names_;
};

// Returns the name of a caller from its address as gRPC writes it, without the port:
// "ipv4:1.2.3.4" of "ipv4:1.2.3.4:567", "unix" of "unix:...". Of an IPv6 address it is the first
// 64 bits, because one host usually has all addresses that share them: "ipv6:2001:db8::/64" of
// "ipv6:[2001:db8::1]:5".
std::string CallerName(absl::string_view peer);

}  // namespace attend

#endif  // ATTEND_CORE_BASE_CALLER_TABLE_H_
