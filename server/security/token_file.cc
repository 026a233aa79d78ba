// SPDX-License-Identifier: Apache-2.0
#include "server/security/token_file.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/quoted.h"
#include "core/base/status.h"
#include "server/config/config_errors.h"
#include "server/config/setting.h"
#include "server/config/setting_source.h"
#include "server/config/setting_types.h"
#include "server/config/text_lines.h"

namespace attend {
namespace {

constexpr size_t kMaxNameBytes = 64;

bool IsName(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || absl::StrContains("._-", static_cast<char>(c));
         });
}

// Shows nothing of the text, which may be the token itself.
absl::StatusOr<TokenHash> ParseHash(absl::string_view text) {
  TokenHash hash;
  size_t size = 0;
  if (OPENSSL_hexstr2buf_ex(hash.data(), hash.size(), &size, std::string(text).c_str(), 0) != 1 ||
      2 * size != text.size() || size != hash.size()) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        "must be the SHA-256 of the token in 64 hexadecimal digits, as sha256sum prints it");
  }
  return hash;
}

std::string FormatHash(const TokenHash& hash) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(hash.data()), hash.size()));
}

absl::StatusOr<Scope> ParseScope(absl::string_view text) {
  if (text == "call") return Scope::kCall;
  if (text == "admin") return Scope::kAdmin;
  return absl::InvalidArgumentError(absl::StrCat("must be call or admin; got ", Quoted(text)));
}

std::string FormatScope(const Scope& scope) {
  return scope == Scope::kCall ? "call" : "admin";
}

Setting Named(absl::string_view name) {
  Setting setting;
  setting.name = name;
  return setting;
}

std::vector<Setting> MakeSettings(IdentitySpec& spec) {
  std::vector<Setting> settings;
  settings.push_back(ListSetting<TokenHash>(Named("sha256"), spec.tokens, ParseHash, FormatHash));
  settings.push_back(ListSetting<Scope>(Named("scope"), spec.scopes, ParseScope, FormatScope));
  settings.push_back(IntSetting(Named("max-requests"), spec.quota.requests, 1,
                                std::numeric_limits<int64_t>::max()));
  settings.push_back(BytesSetting(Named("max-bytes"), spec.quota.bytes, 1));
  settings.push_back(NumberSetting(Named("max-compute"), spec.quota.compute_rate, 1e-6, 1e6));
  settings.push_back(ChoiceSetting<Priority>(
      Named("max-priority"), spec.max_priority,
      {{"high", Priority::kHigh}, {"normal", Priority::kNormal}, {"low", Priority::kLow}}));
  return settings;
}

std::string ListNames(const std::vector<Setting>& settings) {
  return absl::StrJoin(settings, ", ", [](std::string* out, const Setting& setting) {
    absl::StrAppend(out, setting.name);
  });
}

// `place` begins each error.
IdentitySpec ParseLine(absl::string_view line, absl::string_view place, ConfigErrors& errors) {
  IdentitySpec spec;
  std::vector<Setting> settings = MakeSettings(spec);
  SettingSource source(settings, errors);
  for (const absl::string_view part :
       absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
    if (spec.name.empty()) {
      if (!IsName(part)) {
        errors.Add(absl::StrCat(place, "the line must begin with a name of 1 to ", kMaxNameBytes,
                                " letters, digits, '.', '_' or '-'"));
        return spec;
      }
      spec.name = std::string(part);
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> option =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    const Setting* const setting = source.Find(option.first);
    if (setting == nullptr) {
      // What is meant may be a token: nothing of it is shown.
      errors.Add(absl::StrCat(place, "a part is not known; after the name come NAME=VALUE, of ",
                              ListNames(settings)));
      continue;
    }
    source.Set(*setting, absl::StrCat(place, setting->name), option.second);
  }
  if (spec.tokens.empty() && errors.AreUsable({"sha256"})) {
    errors.Add(absl::StrCat(place, Quoted(spec.name), " has no token: give sha256=HEX"));
  }
  return spec;
}

}  // namespace

absl::StatusOr<std::vector<IdentitySpec>> ParseTokenFile(absl::string_view text,
                                                         absl::string_view path) {
  std::vector<IdentitySpec> specs;
  std::set<std::string> names;
  std::set<TokenHash> hashes;
  ConfigErrors errors;
  ForEachLine(text, path, [&](absl::string_view line, const std::string& place) {
    ConfigErrors line_errors;
    IdentitySpec spec = ParseLine(line, place, line_errors);
    if (const absl::Status wrong = line_errors.status(); !wrong.ok()) {
      errors.Add(std::string(wrong.message()));
      return;
    }
    if (!names.insert(spec.name).second) {
      errors.Add(absl::StrCat(place, Quoted(spec.name),
                              " comes twice; one line may have several "
                              "sha256="));
    }
    for (const TokenHash& hash : spec.tokens) {
      if (!hashes.insert(hash).second) {
        errors.Add(absl::StrCat(place, "a token of ", Quoted(spec.name), " comes twice"));
      }
    }
    specs.push_back(std::move(spec));
  });
  if (specs.size() > kMaxIdentities) {
    errors.Add(
        absl::StrCat(path, ": has ", specs.size(), " identities; the most is ", kMaxIdentities));
  }
  if (specs.empty() && errors.status().ok()) {
    errors.Add(absl::StrCat(path, ": has no identity, so that nobody could call"));
  }
  ATTEND_RETURN_IF_ERROR(errors.status());
  return specs;
}

}  // namespace attend
