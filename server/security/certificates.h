// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_SECURITY_CERTIFICATES_H_
#define ATTEND_SERVER_SECURITY_CERTIFICATES_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "server/config/server_config.h"
#include "server/security/poller.h"
#include "server/security/seen_twice.h"
#include "server/security/tls_files.h"
#include "server/telemetry/tls_stats.h"

namespace attend {

// The certificate, key and client authorities in service. They follow their files: where those have
// changed and still serve, they take the place of the old ones; otherwise the old ones stay in
// service. Thread-safe.
class Certificates {
 public:
  // Reads and checks the files; blocks. The errors are those of ReadTlsFiles and CheckTlsFiles.
  static absl::StatusOr<std::unique_ptr<Certificates>> Read(const TlsConfig& config,
                                                            absl::Time now);
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;

  // Calls Poll on a thread of its own, once per interval, from here on.
  void Watch(absl::Duration interval);

  // Reads the files; blocks. Logs what takes the place of the old ones, and once what cannot. Files
  // that do not serve are refused when the next call finds them unchanged: those that are replaced
  // one after the other do not fit together for a moment.
  void Poll(absl::Time now);

  // Another pointer after each change, the same one otherwise.
  std::shared_ptr<const TlsFiles> files() const;
  TlsStats stats() const;

 private:
  Certificates(const TlsConfig& config, TlsFiles files, const TlsFacts& facts);

  void TakeIntoService(TlsFiles files, const TlsFacts& facts);
  void Refuse(absl::StatusOr<TlsFiles> files, const absl::Status& why);
  void WarnOfExpiry(absl::Time now);

  const TlsConfig config_;

  // Of Poll alone.
  SeenTwice<absl::StatusOr<TlsFiles>> refused_;  // files that do not serve
  bool expiry_told_ = false;

  mutable Mutex mutex_;
  std::shared_ptr<const TlsFiles> files_ ABSL_GUARDED_BY(mutex_);
  TlsStats stats_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Poller> poller_;  // last: uses all of the above
};

}  // namespace attend

#endif  // ATTEND_SERVER_SECURITY_CERTIFICATES_H_
