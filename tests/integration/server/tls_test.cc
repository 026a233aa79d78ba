// SPDX-License-Identifier: Apache-2.0

// TLS and mutual TLS.

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/certificate.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

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

TEST_F(TlsTest, RefusesToStartWithFilesThatAreNoPem) {
  Process missing(ATTEND_SERVER,
                  {"--tls-cert=/none", key_flag_, "--listen=127.0.0.1:0", "--metrics-listen="});
  EXPECT_EQ(missing.Wait(), 1);
  EXPECT_THAT(missing.Output(), HasSubstr("--tls-cert: cannot read /none"));
  Process garbage(ATTEND_SERVER,
                  {cert_flag_, absl::StrCat("--tls-key=", Write("garbage.pem", "garbage")),
                   "--listen=127.0.0.1:0", "--metrics-listen="});
  EXPECT_EQ(garbage.Wait(), 1);
  EXPECT_THAT(garbage.Output(), HasSubstr("--tls-key"));
}

}  // namespace
}  // namespace attend
