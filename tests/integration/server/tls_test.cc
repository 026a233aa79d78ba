// SPDX-License-Identifier: Apache-2.0

// TLS and mutual TLS.

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
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

namespace fs = std::filesystem;
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

  // Returns a channel that trusts `root`, presents `shown` and has its own connection.
  static std::shared_ptr<grpc::Channel> SecureChannel(const ServerProcess& server,
                                                      const std::string& root,
                                                      const Certificate& shown = {}) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = root;
    options.pem_cert_chain = shown.certificate;
    options.pem_private_key = shown.key;
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("localhost");
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(server.tcp(), grpc::SslCredentials(options), arguments);
  }

  // Makes a call over a connection of its own.
  static grpc::Status CallWith(const ServerProcess& server, const std::string& root,
                               const Certificate& shown = {}) {
    return MakeCall(SecureChannel(server, root, shown), kScaledDotProductPath,
                    OperatorRequest(2, 1, 4).SerializeAsString())
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

// Why OpenSSL refuses, beside the line above, which says of all of these that verification failed.
TEST_F(TlsTest, LogsWhyItRefusesACallersCertificate) {
  ServerProcess server({cert_flag_, key_flag_, client_ca_flag_});
  const auto refusal = [&](const CertificateSpec& spec, const std::string& cause) {
    EXPECT_FALSE(CallWith(server, own_.certificate, MakeCertificate(spec)).ok());
    EXPECT_TRUE(Eventually([&] {
      return absl::StrContains(
          server.process().Output(),
          absl::StrCat("warning certificate of a caller refused cause=\"", cause, "\""));
    })) << server.process().Output();
  };
  const Certificate other_ca = MakeCertificate({.name = "other"});
  refusal({}, "self-signed certificate");
  refusal({.name = "caller", .issuer = &other_ca}, "unable to get local issuer certificate");
  refusal({.name = "caller", .not_after = absl::Now() - absl::Minutes(1), .issuer = &own_},
          "certificate has expired");
  refusal({.name = "caller", .not_before = absl::Now() + absl::Hours(1), .issuer = &own_},
          "certificate is not yet valid");
  EXPECT_TRUE(
      CallWith(server, own_.certificate, MakeCertificate({.name = "caller", .issuer = &own_}))
          .ok());
}

// Shakes hands with OpenSSL alone, in TLS of `version` at most.
bool CanShakeHands(const std::string& address, int version) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                             SSL_CTX_free);
  SSL_CTX_set_max_proto_version(context.get(), version);
  const unsigned char http2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), http2, sizeof(http2));
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  const int socket = ConnectTcp(address);
  SSL_set_fd(ssl.get(), socket);
  const bool shaken = SSL_connect(ssl.get()) == 1;
  close(socket);
  return shaken;
}

TEST_F(TlsTest, SpeaksNoOlderVersionThanIsSet) {
  ServerProcess any({cert_flag_, key_flag_});
  EXPECT_FALSE(CanShakeHands(any.tcp(), TLS1_1_VERSION));
  EXPECT_TRUE(CanShakeHands(any.tcp(), TLS1_2_VERSION));
  EXPECT_TRUE(CanShakeHands(any.tcp(), TLS1_3_VERSION));
  ServerProcess newest({cert_flag_, key_flag_, "--tls-min-version=1.3"});
  EXPECT_FALSE(CanShakeHands(newest.tcp(), TLS1_2_VERSION));
  EXPECT_TRUE(CanShakeHands(newest.tcp(), TLS1_3_VERSION));
  EXPECT_TRUE(CallWith(newest, own_.certificate).ok());
}

TEST_F(TlsTest, EndsAHandshakeThatItsCallerNeverEnds) {
  ServerProcess server({cert_flag_, key_flag_, "--handshake-timeout=1s"});
  const int socket = ConnectTcp(server.tcp());
  // A record of 512 bytes that holds a ClientHello, up to the version in it.
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  ASSERT_EQ(send(socket, hello.data(), hello.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(hello.size()));
  EXPECT_TRUE(CallWith(server, own_.certificate).ok());
  char byte = 0;
  EXPECT_TRUE(Eventually([&] { return recv(socket, &byte, 1, MSG_DONTWAIT) == 0; }))
      << "the server must end the connection";
  EXPECT_TRUE(Eventually([&] {
    return Sum(server.Metrics(), "attend_grpc_refusals_total", {"\"handshake_timeout\""}) > 0;
  }));
  EXPECT_TRUE(CallWith(server, own_.certificate).ok());
  close(socket);
}

// The files of one server, in a folder that is swapped as a whole, as Kubernetes swaps the folder
// of a secret.
class RotationTest : public TlsTest {
 protected:
  RotationTest() : folder_(TestPath("rotation")) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    for (const char* name : {"tls.crt", "tls.key", "ca.crt"}) {
      fs::create_symlink(fs::path("..data") / name, folder_ / name);
    }
  }

  void Swap(const Certificate& own, const std::string& client_ca) {
    const fs::path version = absl::StrCat("..", ++versions_);
    fs::create_directory(folder_ / version);
    std::ofstream(folder_ / version / "tls.crt") << own.certificate;
    std::ofstream(folder_ / version / "tls.key") << own.key;
    std::ofstream(folder_ / version / "ca.crt") << client_ca;
    fs::create_symlink(version, folder_ / "..data_tmp");
    fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  }

  std::string Flag(const std::string& name, const std::string& file) const {
    return absl::StrCat("--", name, "=", (folder_ / file).string());
  }

  // Waits until that many changes had this result.
  static void WaitForReloads(ServerProcess& server, const std::string& result, double count) {
    ASSERT_TRUE(Eventually([&] {
      return Sum(server.Metrics(), "attend_tls_reloads_total",
                 {absl::StrCat("\"", result, "\"")}) == count;
    })) << result
        << " " << count << "\n"
        << server.process().Output();
  }

  const fs::path folder_;
  int versions_ = 0;
};

TEST_F(RotationTest, FailsNoCallUnderLoad) {
  const Certificate roots[] = {MakeCertificate({.name = "first"}),
                               MakeCertificate({.name = "next"})};
  const std::string both_roots = absl::StrCat(roots[0].certificate, roots[1].certificate);
  const auto make_leaf = [&](int root) { return MakeCertificate({.issuer = &roots[root]}); };
  // Callers have a certificate of the first root; the authorities change, too.
  const Certificate caller = MakeCertificate({.name = "caller", .issuer = &roots[0]});
  Swap(make_leaf(0), roots[0].certificate);
  ServerProcess server(
      {Flag("tls-cert", "tls.crt"), Flag("tls-key", "tls.key"), Flag("tls-client-ca", "ca.crt")});
  EXPECT_TRUE(CallWith(server, roots[0].certificate, caller).ok());
  EXPECT_FALSE(CallWith(server, roots[1].certificate, caller).ok());

  std::atomic<bool> stop{false};
  std::atomic<int64_t> calls{0};
  std::vector<std::thread> load;
  for (int i = 0; i < 3; ++i) {
    load.emplace_back([&, keeps_connection = i == 0] {
      const std::string request = OperatorRequest(2, 1, 4).SerializeAsString();
      auto channel = SecureChannel(server, both_roots, caller);
      while (!stop) {
        if (!keeps_connection) channel = SecureChannel(server, both_roots, caller);
        const CallResult result = MakeCall(channel, kScaledDotProductPath, request);
        EXPECT_TRUE(result.status.ok()) << result.status.error_message();
        ++calls;
      }
    });
  }
  const auto calls_go_on = [&] {
    const int64_t before = calls;
    EXPECT_TRUE(Eventually([&] { return calls > before + 20; }));
  };
  for (int round = 1; round <= 3; ++round) {
    const int root = round % 2;
    Swap(make_leaf(root), round == 2 ? both_roots : roots[0].certificate);
    WaitForReloads(server, "ok", round);
    EXPECT_TRUE(CallWith(server, roots[root].certificate, caller).ok());
    EXPECT_FALSE(CallWith(server, roots[1 - root].certificate, caller).ok());
    calls_go_on();
  }
  // The key of another certificate, which would fail every handshake.
  Swap({roots[0].certificate, make_leaf(0).key}, roots[0].certificate);
  WaitForReloads(server, "refused", 1);
  EXPECT_THAT(server.process().Output(),
              ContainsRegex("warning new certificates refused, the old ones stay in service "
                            "cause=\"--tls-key: .*is not the key of"));
  calls_go_on();
  stop = true;
  for (std::thread& thread : load) thread.join();
  EXPECT_TRUE(CallWith(server, roots[1].certificate, caller).ok()) << "the last good one serves";
}

TEST_F(RotationTest, FollowsTheClientsAuthorities) {
  const Certificate next = MakeCertificate({.name = "next"});
  const Certificate old_caller = MakeCertificate({.name = "caller", .issuer = &own_});
  const Certificate new_caller = MakeCertificate({.name = "caller", .issuer = &next});
  Swap(own_, own_.certificate);
  ServerProcess server(
      {Flag("tls-cert", "tls.crt"), Flag("tls-key", "tls.key"), Flag("tls-client-ca", "ca.crt")});
  EXPECT_TRUE(CallWith(server, own_.certificate, old_caller).ok());
  EXPECT_FALSE(CallWith(server, own_.certificate, new_caller).ok());
  Swap(own_, next.certificate);
  WaitForReloads(server, "ok", 1);
  EXPECT_FALSE(CallWith(server, own_.certificate, old_caller).ok());
  EXPECT_TRUE(CallWith(server, own_.certificate, new_caller).ok());
}

TEST_F(RotationTest, TellsWhenItsCertificateExpires) {
  const auto not_after = [](const ServerProcess& server) {
    return Sum(server.Metrics(), "attend_tls_certificate_not_after_seconds");
  };
  const absl::Time first = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()) + 86400);
  const absl::Time second = first + absl::Hours(24);
  Swap(MakeCertificate({.not_after = first}), "");
  ServerProcess server({Flag("tls-cert", "tls.crt"), Flag("tls-key", "tls.key")});
  EXPECT_EQ(not_after(server), static_cast<double>(absl::ToUnixSeconds(first)));
  Swap(MakeCertificate({.not_after = second}), "");
  WaitForReloads(server, "ok", 1);
  EXPECT_EQ(not_after(server), static_cast<double>(absl::ToUnixSeconds(second)));
  ServerProcess plain;
  EXPECT_EQ(plain.Metrics().count("attend_tls_certificate_not_after_seconds"), 0u)
      << "a date of 0 would be one in the past";
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
