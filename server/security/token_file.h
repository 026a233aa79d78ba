// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_TOKEN_FILE_H_
#define ATTEND_SERVER_SECURITY_TOKEN_FILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/quota.h"
#include "core/batching/priority.h"
#include "server/security/identity.h"

namespace attend {

// The largest file that is read, and the most identities in one.
inline constexpr size_t kMaxTokenFileBytes = size_t{1} << 20;
inline constexpr size_t kMaxIdentities = 1000;

using TokenHash = std::array<uint8_t, 32>;  // SHA-256 of the token's bytes

// One line of the file.
struct IdentitySpec {
  std::string name;
  std::vector<TokenHash> tokens;  // any of them is the identity's
  std::vector<Scope> scopes = {Scope::kCall};
  Priority max_priority = Priority::kHigh;
  QuotaLimits quota;
};

// Reads the text of a file of tokens, one identity per line:
//
//   NAME sha256=HEX [sha256=HEX ...] [scope=call|admin ...] [max-requests=N] [max-bytes=BYTES]
//        [max-compute=SECONDS] [max-priority=high|normal|low]
//
// Parts are separated by spaces or tabs; empty lines and lines that begin with # say nothing. NAME
// has 1 to 64 letters, digits, '.', '_' or '-'. No name and no hash may come twice.
// INVALID_ARGUMENT with one line per error, each of which begins with `path` and the number of its
// line.
absl::StatusOr<std::vector<IdentitySpec>> ParseTokenFile(absl::string_view text,
                                                         absl::string_view path);

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_TOKEN_FILE_H_
