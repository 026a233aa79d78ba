// SPDX-License-Identifier: Apache-2.0

// The file of tokens. What is taken must name everybody once, and every error must name the file
// and show nothing of a line that may hold a token.

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "server/security/token_file.h"
#include "tests/fuzz/targets/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using attend::Require;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto specs = attend::ParseTokenFile(text, "tokens");
  if (!specs.ok()) {
    for (const absl::string_view line : absl::StrSplit(specs.status().message(), '\n')) {
      Require(absl::StartsWith(line, "tokens:"), "each error names the file", std::string(line));
    }
    return 0;
  }
  std::set<std::string> names;
  std::set<attend::TokenHash> hashes;
  for (const attend::IdentitySpec& spec : *specs) {
    Require(names.insert(spec.name).second, "no name comes twice", spec.name);
    Require(!spec.tokens.empty() && !spec.scopes.empty(), "everybody has a token and a scope");
    for (const attend::TokenHash& hash : spec.tokens) {
      Require(hashes.insert(hash).second, "no token comes twice");
    }
    Require(spec.quota.requests > 0 && spec.quota.bytes > 0 && spec.quota.compute_rate > 0,
            "limits leave something");
  }
  Require(!names.empty() && names.size() <= attend::kMaxIdentities, "the number is right");
  return 0;
}
