// SPDX-License-Identifier: Apache-2.0

// Who is known by which token, and a file of tokens that changes under the server.

#include "server/security/identities.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class IdentitiesTest : public testing::Test {
 protected:
  IdentitiesTest() : path_(fs::path(testing::TempDir()) / "attend-tokens") {
    Write(Line("search", "secret-1", "max-requests=2") + Line("ops", "secret-2", "scope=admin"));
    identities_ = Identities::Read(path_).value();
  }
  ~IdentitiesTest() override { fs::remove(path_); }

  static std::string Line(const std::string& name, const std::string& token,
                          const std::string& rest = "") {
    return absl::StrCat(name, " sha256=", Sha256Hex(token).value(), " ", rest, "\n");
  }
  void Write(const std::string& text) const { std::ofstream(path_) << text; }

  // Looks at the file, and returns what that logs.
  std::string Poll() {
    testing::internal::CaptureStderr();
    identities_->Poll();
    return testing::internal::GetCapturedStderr();
  }
  std::string NameOf(const std::string& token) const {
    const auto identity = identities_->Find("Bearer " + token);
    return identity.ok() ? (*identity)->name : GetErrorInfo(identity.status()).reason;
  }

  const std::string path_;
  std::unique_ptr<Identities> identities_;
};

TEST_F(IdentitiesTest, FindsWhoShowsAToken) {
  EXPECT_EQ(NameOf("secret-1"), "search");
  EXPECT_EQ(NameOf("secret-2"), "ops");
  EXPECT_EQ(identities_->Find("bearer secret-1").value()->name, "search");
  EXPECT_EQ(NameOf(" secret-1 "), "search");
  const auto ops = identities_->Find("Bearer secret-2").value();
  EXPECT_TRUE(ops->is_admin);
  EXPECT_FALSE(ops->may_call);
}

TEST_F(IdentitiesTest, RefusesUnknownTokens) {
  for (const char* token : {"", "secret", "secret-11", "secret-1 x", "search", "SECRET-1"}) {
    EXPECT_EQ(NameOf(token), "UNKNOWN_TOKEN") << token;
  }
  // The hash of a token is no token.
  EXPECT_EQ(NameOf(Sha256Hex("secret-1").value()), "UNKNOWN_TOKEN");
  const absl::Status status = identities_->Find("Bearer secret-9").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
}

TEST_F(IdentitiesTest, RefusesWhatIsNoBearerToken) {
  for (const char* authorization : {"", "secret-1", "Basic secret-1", "Bearersecret-1", "Bearer"}) {
    const absl::Status status = identities_->Find(authorization).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
    EXPECT_EQ(GetErrorInfo(status).reason, "NO_TOKEN") << authorization;
  }
}

TEST_F(IdentitiesTest, StayTheSameWhileTheirFileDoes) {
  EXPECT_EQ(Poll(), "");
  EXPECT_EQ(identities_->stats().reloads_ok, 0);
}

TEST_F(IdentitiesTest, FollowTheirFile) {
  Write(Line("search", "secret-3"));
  EXPECT_THAT(Poll(), HasSubstr("info read tokens identities=\"1\" tokens=\"1\""));
  EXPECT_EQ(NameOf("secret-3"), "search");
  EXPECT_EQ(NameOf("secret-1"), "UNKNOWN_TOKEN");
  EXPECT_EQ(NameOf("secret-2"), "UNKNOWN_TOKEN");
  EXPECT_EQ(identities_->stats().reloads_ok, 1);
}

TEST_F(IdentitiesTest, KeepTheirQuotaWhenTheFileChanges) {
  const std::shared_ptr<Quota> quota = identities_->Find("Bearer secret-1").value()->quota;
  ASSERT_TRUE(quota->Enter(10).ok());
  ASSERT_TRUE(quota->Enter(10).ok());
  EXPECT_FALSE(quota->Enter(10).ok());
  Write(Line("search", "secret-3", "max-requests=3"));
  Poll();
  EXPECT_EQ(identities_->Find("Bearer secret-3").value()->quota, quota);
  EXPECT_TRUE(quota->Enter(10).ok());
  EXPECT_FALSE(quota->Enter(10).ok());
  EXPECT_EQ(identities_->stats().identities.front().second.requests, 3);
}

TEST_F(IdentitiesTest, StayWhenTheNewFileIsWrong) {
  Write("search sha256=1234\n");
  EXPECT_EQ(Poll(), "");  // it may be half written
  const std::string log = Poll();
  EXPECT_THAT(log, HasSubstr("warning new tokens refused, the old ones stay in service"));
  EXPECT_THAT(log, HasSubstr("64 hexadecimal digits"));
  EXPECT_EQ(Poll(), "");  // said once
  EXPECT_EQ(NameOf("secret-1"), "search");
  EXPECT_EQ(identities_->stats().reloads_refused, 1);
  fs::remove(path_);
  Poll();
  EXPECT_THAT(Poll(), HasSubstr("cannot read"));
  EXPECT_EQ(NameOf("secret-1"), "search");
}

TEST_F(IdentitiesTest, AreNotReadFromAFileThatIsTooLarge) {
  Write(std::string(kMaxTokenFileBytes + 1, '#'));
  EXPECT_THAT(std::string(Identities::Read(path_).status().message()),
              HasSubstr("is larger than 1 MiB"));
}

TEST(Scopes, DecideWhatAnIdentityMayCall) {
  Identity caller = {"caller", /*may_call=*/true, /*is_admin=*/false};
  Identity admin = {"admin", /*may_call=*/false, /*is_admin=*/true};
  const struct {
    const char* path;
    bool caller, admin;
  } cases[] = {
      {"/attend.v1.AttentionService/MultiHeadAttention", true, false},
      {"/attend.v1.AttentionService/Pipeline", true, false},
      {"/attend.v1.LayerService/ListLayers", true, true},
      {"/attend.v1.ServerService/GetServerInfo", true, true},
      {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", false, true},
      {"/nobody.knows/This", true, true},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(CheckScope(caller, each.path).ok(), each.caller) << each.path;
    EXPECT_EQ(CheckScope(admin, each.path).ok(), each.admin) << each.path;
    EXPECT_TRUE(NeedsToken(each.path, /*public_reflection=*/false)) << each.path;
  }
  const absl::Status refused = CheckScope(admin, cases[0].path);
  EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(GetErrorInfo(refused).reason, "SCOPE");
}

TEST(Scopes, LeaveHealthOpenToAll) {
  for (const bool public_reflection : {false, true}) {
    EXPECT_FALSE(NeedsToken("/grpc.health.v1.Health/Check", public_reflection));
    EXPECT_FALSE(NeedsToken("/grpc.health.v1.Health/Watch", public_reflection));
    EXPECT_TRUE(NeedsToken("/grpc.health.v1.Healthy/Check", public_reflection));
    EXPECT_EQ(NeedsToken("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                         public_reflection),
              !public_reflection);
  }
}

TEST(Scopes, BoundThePriority) {
  const Identity identity = {"batch", true, false, Priority::kNormal};
  EXPECT_TRUE(CheckPriority(identity, Priority::kLow).ok());
  EXPECT_TRUE(CheckPriority(identity, Priority::kNormal).ok());
  const absl::Status refused = CheckPriority(identity, Priority::kHigh);
  EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(refused.message(),
            "priority: it is HIGH; the highest that your identity \"batch\" may use is NORMAL");
}

}  // namespace
}  // namespace attend
