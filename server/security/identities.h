// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_IDENTITIES_H_
#define ATTEND_SERVER_SECURITY_IDENTITIES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "server/security/identity.h"
#include "server/security/poller.h"
#include "server/security/seen_twice.h"
#include "server/security/token_file.h"
#include "server/telemetry/identity_stats.h"

namespace attend {

// Who may call, by bearer token (RFC 6750). The tokens come from a file of their hashes (see
// token_file.h) and follow it: where it has changed and is right, it takes the place of the old
// one; otherwise the old one stays in service. An identity keeps its quota, and what it holds of
// it, for as long as its name stays in the file. Thread-safe.
class Identities {
 public:
  // Reads the file; blocks. INVALID_ARGUMENT that names it, with one line per error.
  static absl::StatusOr<std::unique_ptr<Identities>> Read(const std::string& path);

  // Calls Poll on a thread of its own, once per interval, from here on.
  void Watch(absl::Duration interval);

  // Reads the file; blocks. Logs what takes the place of the old one, and once what cannot.
  void Poll();

  // Who shows this value of the header `authorization`; empty: none is shown. UNAUTHENTICATED:
  // reason NO_TOKEN if it is not "Bearer TOKEN", UNKNOWN_TOKEN if TOKEN is nobody's. Takes the same
  // time for every wrong token of one length. Blocks at most for a mutex.
  absl::StatusOr<std::shared_ptr<const Identity>> Find(absl::string_view authorization) const;

  IdentityStats stats() const;

 private:
  // What is in service.
  struct Table {
    std::map<std::string, std::shared_ptr<const Identity>> identities;  // by name
    std::vector<std::pair<TokenHash, std::shared_ptr<const Identity>>> tokens;
  };

  explicit Identities(std::string path) : path_(std::move(path)) {}

  std::shared_ptr<const Table> table() const;
  void TakeIntoService(std::string text, const std::vector<IdentitySpec>& specs);

  const std::string path_;

  // Of Poll alone.
  std::string text_;                 // in service
  SeenTwice<absl::Status> refused_;  // why texts are not

  mutable Mutex mutex_;
  std::shared_ptr<const Table> table_ ABSL_GUARDED_BY(mutex_);
  int64_t reloads_ok_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t reloads_refused_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<Poller> poller_;  // last: uses all of the above
};

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_IDENTITIES_H_
