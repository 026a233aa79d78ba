// SPDX-License-Identifier: Apache-2.0
#include "server/security/identities.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/read_file.h"
#include "core/base/status.h"
#include "server/telemetry/log.h"

namespace attend {
namespace {

constexpr absl::string_view kScheme = "Bearer ";

absl::StatusOr<std::string> ReadText(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFileUpTo(kMaxTokenFileBytes + 1, path);
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tokens: cannot read ", path, ": ", text.status().message()));
  }
  if (text->size() > kMaxTokenFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tokens: ", path, " is larger than ", kMaxTokenFileBytes >> 20, " MiB"));
  }
  return text;
}

absl::StatusOr<TokenHash> Hash(absl::string_view token) {
  TokenHash hash;
  if (SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), hash.data()) ==
      nullptr) {
    return absl::InternalError("OpenSSL could not compute a SHA-256 digest");
  }
  return hash;
}

Identity MakeIdentity(const IdentitySpec& spec, std::shared_ptr<Quota> quota) {
  const auto has = [&](Scope scope) {
    return std::find(spec.scopes.begin(), spec.scopes.end(), scope) != spec.scopes.end();
  };
  return {spec.name, has(Scope::kCall), has(Scope::kAdmin), spec.max_priority, std::move(quota)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Identities>> Identities::Read(const std::string& path) {
  ATTEND_ASSIGN_OR_RETURN(std::string text, ReadText(path));
  ATTEND_ASSIGN_OR_RETURN(const std::vector<IdentitySpec> specs, ParseTokenFile(text, path));
  std::unique_ptr<Identities> identities(new Identities(path));
  identities->TakeIntoService(std::move(text), specs);
  return identities;
}

void Identities::Watch(absl::Duration interval) {
  poller_ = std::make_unique<Poller>(interval, [this] { Poll(); });
}

void Identities::Poll() {
  absl::StatusOr<std::string> text = ReadText(path_);
  if (text.ok() && *text == text_) {
    refused_.Reset();
    return;
  }
  const absl::StatusOr<std::vector<IdentitySpec>> specs =
      text.ok() ? ParseTokenFile(*text, path_) : text.status();
  if (specs.ok()) {
    TakeIntoService(*std::move(text), *specs);
    MutexLock lock(mutex_);
    ++reloads_ok_;
    return;
  }
  if (!refused_.See(specs.status())) return;
  Log(LogLevel::kWarning, "new tokens refused, the old ones stay in service",
      {{"cause", std::string(specs.status().message())}});
  MutexLock lock(mutex_);
  ++reloads_refused_;
}

void Identities::TakeIntoService(std::string text, const std::vector<IdentitySpec>& specs) {
  const std::shared_ptr<const Table> old = table();
  auto next = std::make_shared<Table>();
  for (const IdentitySpec& spec : specs) {
    std::shared_ptr<Quota> quota;
    if (old != nullptr) {
      if (const auto known = old->identities.find(spec.name); known != old->identities.end()) {
        quota = known->second->quota;
        quota->SetLimits(spec.quota);
      }
    }
    if (quota == nullptr) quota = std::make_shared<Quota>(spec.quota);
    const auto identity = std::make_shared<const Identity>(MakeIdentity(spec, std::move(quota)));
    next->identities[spec.name] = identity;
    for (const TokenHash& hash : spec.tokens) next->tokens.emplace_back(hash, identity);
  }
  Log(LogLevel::kInfo, "read tokens",
      {{"identities", absl::StrCat(next->identities.size())},
       {"tokens", absl::StrCat(next->tokens.size())}});
  text_ = std::move(text);
  refused_.Reset();
  MutexLock lock(mutex_);
  table_ = std::move(next);
}

absl::StatusOr<std::shared_ptr<const Identity>> Identities::Find(
    absl::string_view authorization) const {
  // The name of a scheme has no case (RFC 7235, 2.1).
  if (!absl::StartsWithIgnoreCase(authorization, kScheme)) {
    return MakeError(absl::StatusCode::kUnauthenticated, "NO_TOKEN", "",
                     "this server takes calls with one bearer token: metadata "
                     "authorization, value 'Bearer TOKEN'");
  }
  const absl::string_view token = absl::StripAsciiWhitespace(authorization.substr(kScheme.size()));
  ATTEND_ASSIGN_OR_RETURN(const TokenHash hash, Hash(token));
  const std::shared_ptr<const Table> table = this->table();
  std::shared_ptr<const Identity> found;
  for (const auto& [known, identity] : table->tokens) {
    if (CRYPTO_memcmp(known.data(), hash.data(), hash.size()) == 0) found = identity;
  }
  if (found == nullptr) {
    return MakeError(absl::StatusCode::kUnauthenticated, "UNKNOWN_TOKEN", "",
                     "the bearer token is not known to this server");
  }
  return found;
}

IdentityStats Identities::stats() const {
  IdentityStats stats;
  std::shared_ptr<const Table> table;
  {
    MutexLock lock(mutex_);
    table = table_;
    stats.reloads_ok = reloads_ok_;
    stats.reloads_refused = reloads_refused_;
  }
  for (const auto& [name, identity] : table->identities) {
    stats.identities.emplace_back(name, identity->quota->use());
  }
  return stats;
}

std::shared_ptr<const Identities::Table> Identities::table() const {
  MutexLock lock(mutex_);
  return table_;
}

}  // namespace attend
