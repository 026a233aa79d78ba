// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_CALLER_H_
#define ATTEND_SERVER_CALLS_CALLER_H_

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/quota.h"
#include "server/security/identity.h"

namespace attend {

// Who makes a call.
struct Caller {
  std::string address;                       // as CallerName tells addresses apart
  std::shared_ptr<const Identity> identity;  // nullptr: none was asked for

  // Callers with one name share limits and take turns with others: all that show tokens of one
  // identity, or all at one address.
  std::string name() const {
    return identity == nullptr ? address : absl::StrCat("identity:", identity->name);
  }
  absl::string_view identity_name() const {
    return identity == nullptr ? absl::string_view() : identity->name;
  }
};

// nullptr where there is no identity.
inline std::shared_ptr<Quota> QuotaOf(const std::shared_ptr<const Identity>& identity) {
  return identity == nullptr ? nullptr : identity->quota;
}

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_CALLER_H_
