// SPDX-License-Identifier: Apache-2.0
#include "server/security/identity.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"
#include "core/base/status.h"

namespace attend {
namespace {

constexpr absl::string_view kAttention = "/attend.v1.AttentionService/";
constexpr absl::string_view kHealth = "/grpc.health.v1.Health/";
// Of any version.
constexpr absl::string_view kReflection = "/grpc.reflection.";

absl::string_view NameOf(Priority priority) {
  switch (priority) {
    case Priority::kHigh:
      return "HIGH";
    case Priority::kNormal:
      return "NORMAL";
    case Priority::kLow:
      return "LOW";
  }
  return "";
}

absl::Status MissingScope(const Identity& identity, absl::string_view scope) {
  return MakeError(absl::StatusCode::kPermissionDenied, "SCOPE", "",
                   absl::StrCat("this method needs scope ", scope, ", which your identity ",
                                Quoted(identity.name), " does not have"));
}

}  // namespace

bool NeedsToken(absl::string_view path, bool public_reflection) {
  if (absl::StartsWith(path, kHealth)) return false;
  return !(public_reflection && absl::StartsWith(path, kReflection));
}

absl::Status CheckScope(const Identity& identity, absl::string_view path) {
  if (absl::StartsWith(path, kAttention) && !identity.may_call) {
    return MissingScope(identity, "call");
  }
  if (absl::StartsWith(path, kReflection) && !identity.is_admin) {
    return MissingScope(identity, "admin");
  }
  return absl::OkStatus();
}

absl::Status CheckPriority(const Identity& identity, Priority priority) {
  if (priority >= identity.max_priority) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kPermissionDenied, "PRIORITY", "priority",
      absl::StrCat("priority: it is ", NameOf(priority), "; the highest that your identity ",
                   Quoted(identity.name), " may use is ", NameOf(identity.max_priority)));
}

}  // namespace attend
