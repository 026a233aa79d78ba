// SPDX-License-Identifier: Apache-2.0

// The files of a server's certificate, its key and its clients' authorities: what is refused, and
// with which words. OpenSSL makes the files.

#include "server/security/tls_files.h"

#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/certificate.h"

namespace attend {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const TlsConfig& Paths() {
  static const auto* const config = [] {
    auto* made = new TlsConfig();
    made->cert_file = "/x/cert.pem";
    made->key_file = "/x/key.pem";
    made->client_ca_file = "/x/ca.pem";
    return made;
  }();
  return *config;
}

class TlsFilesTest : public testing::Test {
 protected:
  TlsFilesTest() : own_(MakeCertificate()), good_{own_.certificate, own_.key, own_.certificate} {}

  // The message with which the files are refused; empty if they are taken.
  static std::string Refusal(const TlsFiles& files, absl::Time now = absl::Now()) {
    const absl::Status status = CheckTlsFiles(Paths(), files, now).status();
    EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  }
  std::string RefusalOfChain(const std::string& chain) const {
    return Refusal({chain, good_.key, good_.client_ca});
  }
  std::string RefusalOfKey(const std::string& key) const {
    return Refusal({good_.chain, key, good_.client_ca});
  }
  std::string RefusalOfClientCa(const std::string& client_ca) const {
    return Refusal({good_.chain, good_.key, client_ca});
  }

  const Certificate own_;
  const TlsFiles good_;
};

// A block whose Base64 is right and whose contents are no certificate.
constexpr char kGarbage[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

TEST_F(TlsFilesTest, TellsFactsOfGoodFiles) {
  const Certificate leaf = MakeCertificate({.name = "leaf", .issuer = &own_});
  const auto facts = CheckTlsFiles(Paths(),
                                   {absl::StrCat(leaf.certificate, own_.certificate), leaf.key,
                                    absl::StrCat(own_.certificate, leaf.certificate)},
                                   absl::Now());
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->chain_certificates, 2u);
  EXPECT_EQ(facts->client_authorities, 2u);
  EXPECT_GT(facts->not_after, absl::Now() + absl::Hours(23));
  EXPECT_LT(facts->not_before, absl::Now());
}

TEST_F(TlsFilesTest, TakesOneFileThatHoldsCertificateAndKey) {
  for (const std::string& both :
       {absl::StrCat(own_.certificate, own_.key), absl::StrCat(own_.key, own_.certificate)}) {
    EXPECT_EQ(Refusal({both, both, both}), "");
  }
}

TEST_F(TlsFilesTest, RefusesWhatIsNoPem) {
  for (const std::string& text : {std::string(), std::string("garbage"), own_.key}) {
    EXPECT_THAT(RefusalOfChain(text),
                HasSubstr("--tls-cert: /x/cert.pem holds no certificate in PEM"));
    EXPECT_THAT(RefusalOfClientCa(text),
                HasSubstr("--tls-client-ca: /x/ca.pem holds no certificate in PEM"));
  }
  for (const std::string& text : {std::string(), std::string("garbage"), own_.certificate}) {
    EXPECT_THAT(RefusalOfKey(text), HasSubstr("--tls-key: /x/key.pem holds no private key in PEM"));
  }
}

// OpenSSL reads extensions only when it uses the certificate: such a one was taken at the start,
// and gRPC then refused it. A fuzzer made it of a good one; its basic constraints are no sequence.
TEST_F(TlsFilesTest, RefusesACertificateWithABrokenExtension) {
  const std::string broken =
      "-----BEGIN CERTIFICATE-----\n"
      "MIIBVTCCAQegAwIBAgIUMBRpvPFfjGVJ0Q8rzCHsARKpvZUwBQYDK2VwMBQxEjAQ\n"
      "BgNVBAMMCWxvY2FsaG9zdDAgFw0yNjExMjkwMzI5NTFaGA8yMTI2MTEwNTAzMjk1\n"
      "MVowFDESMBAGA1UEAwwJbG9jYWxob3N0MCowBQYDK2VwAyEA+LCKAhQvkDwcSI1H\n"
      "wXA6Xfv8WC6C85PUtIKvfX9LlJijaTBnMB0GA1UdDgQWBBRu9DlfAbf153SV/vsz\n"
      "XNqb4SJ3VjAfBgNVHSMEGDAWgBRu9DlfAbf153SV/vszXNqb4SJ3VjAPBgNVHRMB\n"
      "Af8EBZADAQH/MBQGA1UdEQQNMAuCCWxvY2FsaG9zdDAFBgMrZXADQQBo+mW4dalL\n"
      "4TISR66RIyt4sw1BDyEZr8PA1dGmjybUnarG7D1DsQLusRMkJZtzvmb6mPOAkCM+\n"
      "x3u3eVP/ykEF\n"
      "-----END CERTIFICATE-----\n";
  EXPECT_THAT(RefusalOfChain(broken),
              HasSubstr("--tls-cert: /x/cert.pem holds a certificate, number 1, whose extensions "
                        "cannot be read: invalid certificate"));
  EXPECT_THAT(RefusalOfClientCa(own_.certificate + broken),
              AllOf(HasSubstr("--tls-client-ca: /x/ca.pem"), HasSubstr("number 2, whose")));
}

// The server started, and no connection was ever answered.
TEST_F(TlsFilesTest, RefusesGarbageInsideOfPem) {
  EXPECT_THAT(
      RefusalOfChain(kGarbage),
      HasSubstr("--tls-cert: /x/cert.pem holds a certificate, number 1, that cannot be read"));
  EXPECT_THAT(RefusalOfChain(absl::StrCat(own_.certificate, kGarbage)), HasSubstr("number 2"));
  EXPECT_THAT(RefusalOfClientCa(absl::StrCat(own_.certificate, kGarbage)),
              AllOf(HasSubstr("--tls-client-ca: /x/ca.pem"), HasSubstr("number 2")));
  EXPECT_THAT(RefusalOfKey("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
              HasSubstr("--tls-key: /x/key.pem holds a private key that cannot be read"));
  EXPECT_THAT(RefusalOfKey(own_.key.substr(0, own_.key.size() / 2)),
              HasSubstr("--tls-key: /x/key.pem holds"));
  EXPECT_THAT(RefusalOfChain(own_.certificate.substr(0, own_.certificate.size() / 2)),
              HasSubstr("--tls-cert: /x/cert.pem holds"));
}

TEST_F(TlsFilesTest, RefusesAnEncryptedKeyAndSaysHowToDecryptIt) {
  EXPECT_THAT(
      RefusalOfKey(EncryptKey(own_.key, "passphrase")),
      AllOf(HasSubstr("--tls-key: /x/key.pem is encrypted"), HasSubstr("openssl pkey -in")));
  // OpenSSL would try an empty passphrase by itself.
  EXPECT_THAT(RefusalOfKey(EncryptKey(own_.key, "")), HasSubstr("is encrypted"));
}

TEST_F(TlsFilesTest, RefusesTheKeyOfAnotherCertificate) {
  EXPECT_THAT(RefusalOfKey(MakeCertificate().key),
              HasSubstr("--tls-key: /x/key.pem is not the key of the certificate in "
                        "--tls-cert=/x/cert.pem"));
  EXPECT_THAT(RefusalOfKey(MakeCertificate({.rsa_bits = 2048}).key),
              HasSubstr("is not the key of the certificate"));
  // The server's own certificate is the first one.
  const Certificate leaf = MakeCertificate({.name = "leaf", .issuer = &own_});
  EXPECT_THAT(Refusal({absl::StrCat(own_.certificate, leaf.certificate), leaf.key, ""}),
              HasSubstr("is not the key of the certificate"));
}

TEST_F(TlsFilesTest, RefusesACertificateOutsideOfItsDates) {
  const absl::Time from =
      absl::FromCivil(absl::CivilSecond(2024, 2, 29, 1, 2, 3), absl::UTCTimeZone());
  const absl::Time until = from + absl::Hours(1);
  const Certificate dated = MakeCertificate({.not_before = from, .not_after = until});
  const TlsFiles files = {dated.certificate, dated.key, good_.client_ca};
  EXPECT_EQ(Refusal(files, from), "");
  EXPECT_EQ(Refusal(files, until), "");
  EXPECT_THAT(Refusal(files, until + absl::Seconds(1)),
              HasSubstr("--tls-cert: /x/cert.pem holds a certificate that expired at "
                        "2024-02-29T02:02:03Z; it is 2024-02-29T02:02:04Z"));
  EXPECT_THAT(Refusal(files, from - absl::Seconds(1)),
              HasSubstr("--tls-cert: /x/cert.pem holds a certificate that is not valid before "
                        "2024-02-29T01:02:03Z"));
}

// OpenSSL refuses these only when gRPC makes its context, or in each handshake.
TEST_F(TlsFilesTest, RefusesWhatIsTooWeakForOpenSsl) {
  const Certificate weak = MakeCertificate({.rsa_bits = 1024});
  EXPECT_THAT(Refusal({weak.certificate, weak.key, ""}),
              HasSubstr("--tls-cert: /x/cert.pem is refused by OpenSSL: ee key too small"));
  const Certificate leaf = MakeCertificate({.name = "leaf", .issuer = &weak});
  EXPECT_THAT(Refusal({absl::StrCat(leaf.certificate, weak.certificate), leaf.key, ""}),
              HasSubstr("--tls-cert: /x/cert.pem is refused by OpenSSL: ca key too small"));
}

TEST_F(TlsFilesTest, QuotesNothingOfAKey) {
  const std::string damaged = absl::StrReplaceAll(own_.key, {{"M", "N"}});
  EXPECT_THAT(RefusalOfKey(damaged), Not(HasSubstr(own_.key.substr(30, 12))));
}

// A file without a place on a disk.
std::string WriteFile(const std::string& text) {
  const int fd = memfd_create("pem", 0);
  EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return absl::StrCat("/proc/self/fd/", fd);
}

std::string RefusalToRead(const TlsConfig& config) {
  return std::string(ReadTlsFiles(config).status().message());
}

TEST(ReadTlsFiles, NamesTheFileThatCannotBeRead) {
  const std::string good = WriteFile("text");
  TlsConfig config;
  config.cert_file = config.key_file = config.client_ca_file = good;
  ASSERT_EQ(RefusalToRead(config), "");
  EXPECT_EQ(ReadTlsFiles(config)->client_ca, "text");

  config.client_ca_file = "/none";
  EXPECT_EQ(RefusalToRead(config), "--tls-client-ca: cannot read /none: No such file or directory");
  config.key_file = "/";
  EXPECT_EQ(RefusalToRead(config), "--tls-key: cannot read /: Is a directory");
  config.cert_file = "/dev/zero";
  EXPECT_EQ(RefusalToRead(config), "--tls-cert: /dev/zero is larger than 4 MiB");
  config.cert_file = WriteFile(std::string(1, '\0'));
  EXPECT_THAT(RefusalToRead(config), HasSubstr("holds a zero byte"));
}

TEST(ReadTlsFiles, ReadsNoAuthoritiesWhereNoneAreConfigured) {
  TlsConfig config;
  config.cert_file = config.key_file = WriteFile("text");
  ASSERT_TRUE(ReadTlsFiles(config).ok());
  EXPECT_EQ(ReadTlsFiles(config)->client_ca, "");
}

}  // namespace
}  // namespace attend
