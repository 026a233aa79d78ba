// SPDX-License-Identifier: Apache-2.0
#include "server/security/certificates.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "server/security/pem.h"
#include "server/telemetry/log.h"

namespace attend {

absl::StatusOr<std::unique_ptr<Certificates>> Certificates::Read(const TlsConfig& config,
                                                                 absl::Time now) {
  ATTEND_ASSIGN_OR_RETURN(TlsFiles files, ReadTlsFiles(config));
  ATTEND_ASSIGN_OR_RETURN(const TlsFacts facts, CheckTlsFiles(config, files, now));
  return std::unique_ptr<Certificates>(new Certificates(config, std::move(files), facts));
}

Certificates::Certificates(const TlsConfig& config, TlsFiles files, const TlsFacts& facts)
    : config_(config) {
  TakeIntoService(std::move(files), facts);
}

void Certificates::Watch(absl::Duration interval) {
  poller_ = std::make_unique<Poller>(interval, [this] { Poll(absl::Now()); });
}

void Certificates::Poll(absl::Time now) {
  absl::StatusOr<TlsFiles> found = ReadTlsFiles(config_);
  if (found.ok() && *found == *files()) {
    refused_.Reset();
    WarnOfExpiry(now);
    return;
  }
  const absl::StatusOr<TlsFacts> facts =
      found.ok() ? CheckTlsFiles(config_, *found, now) : found.status();
  if (!facts.ok()) {
    Refuse(std::move(found), facts.status());
    WarnOfExpiry(now);
    return;
  }
  TakeIntoService(*std::move(found), *facts);
  MutexLock lock(mutex_);
  ++stats_.reloads_ok;
}

void Certificates::TakeIntoService(TlsFiles files, const TlsFacts& facts) {
  Log(LogLevel::kInfo, "read certificates",
      {{"not_after", FormatUtc(facts.not_after)},
       {"chain", absl::StrCat(facts.chain_certificates)},
       {"client_authorities", absl::StrCat(facts.client_authorities)}});
  refused_.Reset();
  expiry_told_ = false;
  MutexLock lock(mutex_);
  files_ = std::make_shared<const TlsFiles>(std::move(files));
  stats_.not_after = facts.not_after;
}

void Certificates::Refuse(absl::StatusOr<TlsFiles> files, const absl::Status& why) {
  if (!refused_.See(std::move(files))) return;
  Log(LogLevel::kWarning, "new certificates refused, the old ones stay in service",
      {{"cause", std::string(why.message())}});
  MutexLock lock(mutex_);
  ++stats_.reloads_refused;
}

void Certificates::WarnOfExpiry(absl::Time now) {
  const absl::Time not_after = stats().not_after;
  if (expiry_told_ || now <= not_after) return;
  expiry_told_ = true;
  Log(LogLevel::kError, "the certificate in service has expired",
      {{"not_after", FormatUtc(not_after)}});
}

std::shared_ptr<const TlsFiles> Certificates::files() const {
  MutexLock lock(mutex_);
  return files_;
}

TlsStats Certificates::stats() const {
  MutexLock lock(mutex_);
  return stats_;
}

}  // namespace attend
