// SPDX-License-Identifier: Apache-2.0
#include "server/security/token_file.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// SHA-256 of "abc" (FIPS 180-2, appendix B.1), and another.
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const std::string kZeros(64, '0');

std::string Error(const std::string& text) {
  return std::string(ParseTokenFile(text, "tokens").status().message());
}

TEST(TokenFile, ReadsIdentitiesWithDefaults) {
  const auto specs =
      ParseTokenFile(absl::StrCat("# who may call\n\n  search.1  sha256=", kAbc, "\r\n"), "tokens");
  ASSERT_TRUE(specs.ok()) << specs.status();
  ASSERT_EQ(specs->size(), 1u);
  const IdentitySpec& spec = specs->front();
  EXPECT_EQ(spec.name, "search.1");
  ASSERT_EQ(spec.tokens.size(), 1u);
  EXPECT_EQ(spec.tokens[0][0], 0xba);
  EXPECT_EQ(spec.tokens[0][31], 0xad);
  EXPECT_THAT(spec.scopes, ElementsAre(Scope::kCall));
  EXPECT_EQ(spec.max_priority, Priority::kHigh);
  EXPECT_TRUE(std::isinf(spec.quota.compute_rate));
  EXPECT_EQ(spec.quota.requests, QuotaLimits().requests);
  EXPECT_EQ(spec.quota.bytes, QuotaLimits().bytes);
}

TEST(TokenFile, ReadsEverySetting) {
  const auto specs = ParseTokenFile(
      absl::StrCat("ops\tsha256=", kAbc, " sha256=", kZeros,
                   " scope=admin scope=call max-requests=7 max-bytes=64MiB max-compute=0.5 "
                   "max-priority=low"),
      "tokens");
  ASSERT_TRUE(specs.ok()) << specs.status();
  const IdentitySpec& spec = specs->front();
  EXPECT_EQ(spec.tokens.size(), 2u);
  EXPECT_THAT(spec.scopes, ElementsAre(Scope::kAdmin, Scope::kCall));
  EXPECT_EQ(spec.quota.requests, 7);
  EXPECT_EQ(spec.quota.bytes, int64_t{64} << 20);
  EXPECT_EQ(spec.quota.compute_rate, 0.5);
  EXPECT_EQ(spec.max_priority, Priority::kLow);
}

TEST(TokenFile, NamesEachWrongLine) {
  const std::string hash = absl::StrCat(" sha256=", kAbc);
  const struct {
    std::string line, error;
  } cases[] = {
      {"na/me" + hash, "must begin with a name of 1 to 64 letters"},
      {std::string(65, 'n') + hash, "must begin with a name of 1 to 64 letters"},
      {"name", "\"name\" has no token: give sha256=HEX"},
      {"name sha256=abc", "sha256: must be the SHA-256 of the token in 64 hexadecimal digits"},
      {"name sha256=" + std::string(64, 'g'), "64 hexadecimal digits"},
      {"name" + hash + " scope=root", "scope: must be call or admin; got \"root\""},
      {"name" + hash + " max-requests=0", "max-requests: \"0\" is not a number from 1 to"},
      {"name" + hash + " max-requests=1 max-requests=2", "max-requests is given twice"},
      {"name" + hash + " max-bytes=0", "max-bytes: \"0\" is less than 1"},
      {"name" + hash + " max-compute=nan", "max-compute: \"nan\" is not a number"},
      {"name" + hash + " max-priority=urgent", "max-priority: must be high, normal or low"},
      {"name" + hash + " limit=1",
       "a part is not known; after the name come NAME=VALUE, of sha256, "
       "scope, max-requests, max-bytes, max-compute, max-priority"},
      {"name" + hash + hash, "a token of \"name\" comes twice"},
  };
  std::string all = "# first line\n";
  for (const auto& each : cases) {
    SCOPED_TRACE(each.line);
    EXPECT_THAT(Error("\n" + each.line), HasSubstr("tokens:2: "));
    EXPECT_THAT(Error("\n" + each.line), HasSubstr(each.error));
    absl::StrAppend(&all, each.line, "\n");
  }
  const std::vector<std::string> lines = absl::StrSplit(Error(all), '\n');
  EXPECT_GE(lines.size(), std::size(cases));  // all at once
}

TEST(TokenFile, ShowsNothingThatMayBeAToken) {
  for (const char* line : {"name my-secret", "name sha256=my-secret", "name my-secret=1"}) {
    EXPECT_THAT(Error(line), Not(HasSubstr("secret"))) << line;
    EXPECT_NE(Error(line), "");
  }
}

TEST(TokenFile, RefusesWhatComesTwice) {
  const std::string one = absl::StrCat("one sha256=", kAbc, "\n");
  EXPECT_THAT(Error(one + absl::StrCat("one sha256=", kZeros)),
              HasSubstr("tokens:2: \"one\" comes twice"));
  EXPECT_THAT(Error(one + absl::StrCat("two sha256=", kAbc)),
              HasSubstr("tokens:2: a token of \"two\" comes twice"));
}

TEST(TokenFile, RefusesAFileThatLetsNobodyIn) {
  EXPECT_EQ(Error(""), "tokens: has no identity, so that nobody could call");
  EXPECT_EQ(Error("# nobody\n"), "tokens: has no identity, so that nobody could call");
}

TEST(TokenFile, BoundsTheIdentities) {
  std::string text;
  for (size_t i = 0; i <= kMaxIdentities; ++i) {
    absl::StrAppend(&text, "name", i, " sha256=", absl::Dec(i, absl::kZeroPad16),
                    std::string(48, '0'), "\n");
  }
  EXPECT_EQ(Error(text), "tokens: has 1001 identities; the most is 1000");
}

}  // namespace
}  // namespace attend
