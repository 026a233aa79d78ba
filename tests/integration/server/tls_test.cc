// SPDX-License-Identifier: Apache-2.0

// TLS and mutual TLS.

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/server_process.h"
#include "tests/support/certificate.h"

namespace attend {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

std::string Write(const std::string& name, const std::string& text) {
  const std::string path = TestPath(name);
  std::ofstream(path) << text;
  return path;
}

class TlsTest : public testing::Test {
 protected:
  TlsTest()
      : own_(MakeCertificate()),
        cert_flag_(absl::StrCat("--tls-cert=", Write("cert.pem", own_.certificate))),
        key_flag_(absl::StrCat("--tls-key=", Write("key.pem", own_.key))),
        client_ca_flag_(absl::StrCat("--tls-client-ca=", Write("ca.pem", own_.certificate))) {}

  // Makes a call that trusts `root` and presents `shown`.
  static grpc::Status CallWith(const ServerProcess& server, const std::string& root,
                               const Certificate& shown = {}) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = root;
    options.pem_cert_chain = shown.certificate;
    options.pem_private_key = shown.key;
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("localhost");
    const auto channel =
        grpc::CreateCustomChannel(server.tcp(), grpc::SslCredentials(options), arguments);
    return MakeCall(channel, kScaledDotProductPath, OperatorRequest(2, 1, 4).SerializeAsString())
        .status;
  }

  const Certificate own_;
  const std::string cert_flag_, key_flag_, client_ca_flag_;
};

TEST_F(TlsTest, ServesCallersThatTrustItsCertificateOnly) {
  ServerProcess server({cert_flag_, key_flag_});
  EXPECT_TRUE(CallWith(server, own_.certificate).ok());
  EXPECT_EQ(CallWith(server, MakeCertificate().certificate).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  const std::string request = OperatorRequest(2, 1, 4).SerializeAsString();
  EXPECT_EQ(MakeCall(server.Channel(), kScaledDotProductPath, request).status.error_code(),
            grpc::StatusCode::UNAVAILABLE)
      << "plain text must be refused";
}

TEST_F(TlsTest, LeavesUnixSocketsPlain) {
  ServerProcess server({cert_flag_, key_flag_});
  const std::string request = OperatorRequest(2, 1, 4).SerializeAsString();
  EXPECT_TRUE(MakeCall(ServerProcess::Channel(server.unix_socket()), kScaledDotProductPath, request)
                  .status.ok());
}

TEST_F(TlsTest, DemandsACertificateOfTheClientCa) {
  ServerProcess server({cert_flag_, key_flag_, client_ca_flag_});
  EXPECT_TRUE(CallWith(server, own_.certificate, own_).ok());
  const auto refusals = [&] {
    return Sum(server.Metrics(), "attend_grpc_refusals_total", {"\"handshake\""});
  };
  EXPECT_EQ(refusals(), 0);
  EXPECT_FALSE(CallWith(server, own_.certificate).ok());
  EXPECT_TRUE(Eventually([&] { return refusals() > 0; }));
  EXPECT_THAT(server.process().Output(), HasSubstr("warning gRPC refused what=\"handshake\" "
                                                   "cause=\"peer did not return a certificate\""));
  EXPECT_FALSE(CallWith(server, own_.certificate, MakeCertificate()).ok());
}

TEST_F(TlsTest, ChecksItsOwnHealth) {
  for (const bool mutual : {false, true}) {
    std::vector<std::string> flags = {cert_flag_, key_flag_};
    if (mutual) flags.push_back(client_ca_flag_);
    ServerProcess server(flags);
    flags.push_back(absl::StrCat("--healthcheck=", server.tcp()));
    Process check(ATTEND_SERVER, flags);
    EXPECT_EQ(check.Wait(), 0) << check.Output();
  }
}

// What the server says when it ends at once, with exit code 1.
std::string RefusalToStart(std::vector<std::string> flags) {
  flags.insert(flags.end(), {"--listen=127.0.0.1:0", "--metrics-listen="});
  Process server(ATTEND_SERVER, flags);
  EXPECT_EQ(server.Wait(), 1);
  return server.Output();
}

TEST_F(TlsTest, RefusesToStartWithFilesThatAreNoPem) {
  EXPECT_THAT(RefusalToStart({"--tls-cert=/none", key_flag_}),
              HasSubstr("--tls-cert: cannot read /none"));
  EXPECT_THAT(
      RefusalToStart({cert_flag_, absl::StrCat("--tls-key=", Write("garbage.pem", "garbage"))}),
      HasSubstr("garbage.pem holds no private key in PEM"));
}

// The server said that it was listening, and no connection was ever answered.
TEST_F(TlsTest, RefusesToStartWithAKeyThatDoesNotServe) {
  const auto key_flag = [](const std::string& key) {
    return absl::StrCat("--tls-key=", Write("other_key.pem", key));
  };
  EXPECT_THAT(RefusalToStart({cert_flag_, key_flag(EncryptKey(own_.key, "passphrase"))}),
              HasSubstr("other_key.pem is encrypted"));
  EXPECT_THAT(RefusalToStart({cert_flag_, key_flag(MakeCertificate().key)}),
              HasSubstr("other_key.pem is not the key of the certificate"));
}

TEST_F(TlsTest, RefusesToStartWithACertificateOutsideOfItsDates) {
  const auto refusal = [](const CertificateSpec& spec) {
    const Certificate dated = MakeCertificate(spec);
    return RefusalToStart({absl::StrCat("--tls-cert=", Write("dated.pem", dated.certificate)),
                           absl::StrCat("--tls-key=", Write("dated_key.pem", dated.key))});
  };
  EXPECT_THAT(refusal({.not_after = absl::Now() - absl::Minutes(1)}),
              HasSubstr("dated.pem holds a certificate that expired at "));
  EXPECT_THAT(refusal({.not_before = absl::Now() + absl::Minutes(30)}),
              HasSubstr("dated.pem holds a certificate that is not valid before "));
}

TEST_F(TlsTest, LogsUntilWhenItsCertificateHolds) {
  ServerProcess server({cert_flag_, key_flag_, client_ca_flag_});
  EXPECT_THAT(server.process().Output(),
              ContainsRegex("info read certificates not_after=\"20.*Z\" chain=\"1\" "
                            "client_authorities=\"1\""));
}

}  // namespace
}  // namespace attend
