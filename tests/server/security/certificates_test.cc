// SPDX-License-Identifier: Apache-2.0

// Certificates in service, and files that change under them.

#include "server/security/certificates.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/certificate.h"

namespace attend {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CertificatesTest : public testing::Test {
 protected:
  CertificatesTest() : folder_(fs::path(testing::TempDir()) / "attend-certificates") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    config_.cert_file = folder_ / "cert.pem";
    config_.key_file = folder_ / "key.pem";
    Write(first_);
    certificates_ = Certificates::Read(config_, now_).value();
  }
  ~CertificatesTest() override { fs::remove_all(folder_); }

  static void WriteFile(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  void Write(const Certificate& pair) const {
    WriteFile(config_.cert_file, pair.certificate);
    WriteFile(config_.key_file, pair.key);
  }

  // Looks at the files, and returns what that logs.
  std::string Poll() {
    testing::internal::CaptureStderr();
    certificates_->Poll(now_);
    return testing::internal::GetCapturedStderr();
  }
  bool Serves(const Certificate& pair) const {
    return certificates_->files()->chain == pair.certificate &&
           certificates_->files()->key == pair.key;
  }

  const fs::path folder_;
  const Certificate first_ = MakeCertificate();
  const Certificate second_ = MakeCertificate({.not_after = absl::Now() + absl::Hours(48)});
  absl::Time now_ = absl::Now();
  TlsConfig config_;
  std::unique_ptr<Certificates> certificates_;
};

TEST_F(CertificatesTest, StayTheSameWhileTheirFilesDo) {
  const auto files = certificates_->files();
  EXPECT_EQ(Poll(), "");
  Write(first_);
  EXPECT_EQ(Poll(), "");
  EXPECT_EQ(certificates_->files(), files);
  EXPECT_EQ(certificates_->stats().reloads_ok, 0);
}

TEST_F(CertificatesTest, FollowTheirFiles) {
  EXPECT_LT(certificates_->stats().not_after, now_ + absl::Hours(25));
  Write(second_);
  EXPECT_THAT(Poll(), HasSubstr("info read certificates"));
  EXPECT_TRUE(Serves(second_));
  EXPECT_GT(certificates_->stats().not_after, now_ + absl::Hours(47));
  EXPECT_EQ(certificates_->stats().reloads_ok, 1);
  EXPECT_EQ(certificates_->stats().reloads_refused, 0);
}

// As Kubernetes replaces the files of a secret: ..data, through which all of them are read, points
// to another folder from one moment to the next.
TEST_F(CertificatesTest, FollowTheSwapOfADirectory) {
  const auto make_folder = [this](const std::string& name, const Certificate& pair) {
    fs::create_directory(folder_ / name);
    WriteFile(folder_ / name / "tls.crt", pair.certificate);
    WriteFile(folder_ / name / "tls.key", pair.key);
  };
  make_folder("..1", first_);
  make_folder("..2", second_);
  fs::create_symlink("..1", folder_ / "..data");
  for (const char* name : {"tls.crt", "tls.key"}) {
    fs::create_symlink(fs::path("..data") / name, folder_ / name);
  }
  config_.cert_file = folder_ / "tls.crt";
  config_.key_file = folder_ / "tls.key";
  certificates_ = Certificates::Read(config_, now_).value();
  fs::create_symlink("..2", folder_ / "..data_tmp");
  fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  fs::remove_all(folder_ / "..1");
  Poll();
  EXPECT_TRUE(Serves(second_));
}

TEST_F(CertificatesTest, WaitForTheOtherHalfOfAPair) {
  WriteFile(config_.cert_file, second_.certificate);
  EXPECT_EQ(Poll(), "");
  EXPECT_TRUE(Serves(first_));
  WriteFile(config_.key_file, second_.key);
  EXPECT_THAT(Poll(), HasSubstr("info read certificates"));
  EXPECT_TRUE(Serves(second_));
  EXPECT_EQ(certificates_->stats().reloads_refused, 0);
}

TEST_F(CertificatesTest, StayInServiceWhereTheNewOnesDoNotServe) {
  WriteFile(config_.key_file, second_.key);
  EXPECT_EQ(Poll(), "");
  EXPECT_THAT(Poll(), HasSubstr(absl::StrCat(
                          "warning new certificates refused, the old ones stay in service cause=\"",
                          "--tls-key: ", config_.key_file, " is not the key of")));
  EXPECT_EQ(Poll(), "") << "it is said once";
  EXPECT_EQ(certificates_->stats().reloads_refused, 1);
  EXPECT_TRUE(Serves(first_));

  fs::remove(config_.cert_file);
  Poll();
  EXPECT_THAT(Poll(), HasSubstr("cannot read"));
  EXPECT_EQ(Poll(), "");
  EXPECT_EQ(certificates_->stats().reloads_refused, 2);
  EXPECT_TRUE(Serves(first_));

  Write(first_);
  EXPECT_EQ(Poll(), "");
  WriteFile(config_.key_file, second_.key);
  Poll();
  EXPECT_THAT(Poll(), HasSubstr("is not the key")) << "it is said again after it was right";
}

TEST_F(CertificatesTest, TakeACertificateOnceItIsValid) {
  const Certificate later = MakeCertificate({.not_before = now_ + absl::Minutes(1)});
  Write(later);
  Poll();
  EXPECT_THAT(Poll(), HasSubstr("is not valid before"));
  now_ += absl::Minutes(2);
  Poll();
  EXPECT_TRUE(Serves(later));
}

TEST_F(CertificatesTest, TellOnceThatTheOneInServiceHasExpired) {
  now_ += absl::Hours(25);
  EXPECT_THAT(Poll(), HasSubstr("error the certificate in service has expired"));
  EXPECT_EQ(Poll(), "");
}

TEST_F(CertificatesTest, AreNotReadFromFilesThatDoNotServe) {
  WriteFile(config_.key_file, second_.key);
  EXPECT_THAT(Certificates::Read(config_, now_).status().message(), HasSubstr("is not the key"));
}

TEST_F(CertificatesTest, EndTheirThreadAtOnce) {
  certificates_->Watch(absl::Hours(1));
  certificates_.reset();
}

}  // namespace
}  // namespace attend
