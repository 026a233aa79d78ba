// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_IDENTITY_H_
#define ATTEND_SERVER_SECURITY_IDENTITY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/quota.h"
#include "core/batching/priority.h"

namespace attend {

// What an identity may do; see CheckScope.
enum class Scope : uint8_t { kCall, kAdmin };

// One who is known by a bearer token.
struct Identity {
  std::string name;
  bool may_call = true;
  bool is_admin = false;
  Priority max_priority = Priority::kHigh;
  std::shared_ptr<Quota> quota{};  // of all its requests together
};

// Whether a call of the method, "/package.Service/Method", needs a token where there are
// identities. Health needs none, because probes and balancers have none, nor does reflection if
// that is public.
bool NeedsToken(absl::string_view path, bool public_reflection);

// OK if the identity may call the method: AttentionService with scope "call", reflection with scope
// "admin", everything else with either. PERMISSION_DENIED, reason SCOPE, that names the scope.
absl::Status CheckScope(const Identity& identity, absl::string_view path);

// PERMISSION_DENIED, reason PRIORITY, if `priority` is higher than the identity may use.
absl::Status CheckPriority(const Identity& identity, Priority priority);

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_IDENTITY_H_
