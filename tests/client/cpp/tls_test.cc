// SPDX-License-Identifier: Apache-2.0

// The openssl command makes the certificates for this run only.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

#include "attend/client.h"
#include "grpcpp/security/credentials.h"
#include "tests/client/fake_service.h"

namespace attend::client {
namespace {

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::path(testing::TempDir()) / ("attend-tls-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    for (const std::string authority : {"ca", "stranger"}) {
      Openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" +
              authority + " -keyout " + authority + ".key -out " + authority + ".pem");
    }
    std::ofstream(folder_ / "san.cnf") << "subjectAltName=DNS:attend.test\n";
    for (const std::string name : {"server", "client"}) {
      Openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
              " -keyout " + name + ".key -out " + name + ".csr");
      Openssl("x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san.cnf -in " +
              name + ".csr -out " + name + ".pem");
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Openssl(const std::string& arguments) {
    const std::string command =
        "cd '" + folder_.string() + "' && openssl " + arguments + " >openssl.log 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << command << "\n" << Read("openssl.log");
  }
  std::string Read(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(folder_ / name).rdbuf();
    return text.str();
  }

  std::shared_ptr<grpc::ServerCredentials> ServerCredentials(bool ask_client) {
    grpc::SslServerCredentialsOptions options(
        ask_client ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                   : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    options.pem_root_certs = Read("ca.pem");
    options.pem_key_cert_pairs.push_back({Read("server.key"), Read("server.pem")});
    return grpc::SslServerCredentials(options);
  }

  absl::Status Call(const FakeServer& server, const std::optional<TlsOptions>& tls) {
    ClientOptions options;
    options.targets = {server.address()};
    options.tls = tls;
    options.retry.max_attempts = 1;
    const std::vector<float> rows = {1};
    MultiHeadAttentionRequest request;
    request.layer = "l0";
    request.query = {rows, {1, 1, 1}};
    const std::unique_ptr<Client> client = *Client::Create(options);
    const absl::Status status = client->Call(request).status();
    // A pipeline uses the same connections.
    const std::unique_ptr<Pipeline> pipeline = *client->OpenPipeline();
    EXPECT_EQ(pipeline->AsyncCall(request).get().status().code(), status.code());
    EXPECT_EQ(pipeline->Finish().code(), status.code());
    return status;
  }

  std::filesystem::path folder_;
};

TEST_F(TlsTest, ChecksTheServer) {
  FakeServer server("", ServerCredentials(false));
  EXPECT_EQ(Call(server,
                 TlsOptions{.root_certificates_pem = Read("ca.pem"), .server_name = "attend.test"}),
            absl::OkStatus());
  // A stranger's authority, another name, no TLS at all.
  EXPECT_TRUE(
      absl::IsUnavailable(Call(server, TlsOptions{.root_certificates_pem = Read("stranger.pem"),
                                                  .server_name = "attend.test"})));
  EXPECT_TRUE(absl::IsUnavailable(Call(
      server, TlsOptions{.root_certificates_pem = Read("ca.pem"), .server_name = "other.test"})));
  EXPECT_TRUE(absl::IsUnavailable(Call(server, std::nullopt)));
}

TEST_F(TlsTest, ShowsItsOwnCertificate) {
  FakeServer server("", ServerCredentials(true));
  TlsOptions tls = {.root_certificates_pem = Read("ca.pem"), .server_name = "attend.test"};
  EXPECT_TRUE(absl::IsUnavailable(Call(server, tls)));
  tls.certificate_pem = Read("client.pem");
  tls.private_key_pem = Read("client.key");
  EXPECT_EQ(Call(server, tls), absl::OkStatus());
}

// A token belongs to the call that names it; in plain text it is refused (client_test.cc).
TEST_F(TlsTest, SendsABearerTokenOverTls) {
  FakeServer server("", ServerCredentials(false));
  std::mutex mutex;
  std::vector<std::string> tokens;
  const auto keep_token = [&](grpc::ServerContext& context) {
    std::lock_guard lock(mutex);
    const auto [begin, end] = context.client_metadata().equal_range("authorization");
    for (auto it = begin; it != end; ++it) {
      tokens.emplace_back(it->second.data(), it->second.size());
    }
  };
  server.service.set_hook([&](int, grpc::ServerContext& context) {
    keep_token(context);
    return grpc::Status::OK;
  });
  server.service.set_pipeline_hook([&](FakeService::Stream& stream, grpc::ServerContext& context) {
    keep_token(context);
    v1::PipelineRequest request;
    while (stream.Read(&request)) {
    }
    return grpc::Status::OK;
  });
  const TlsOptions tls = {.root_certificates_pem = Read("ca.pem"), .server_name = "attend.test"};
  const std::unique_ptr<Client> client =
      *Client::Create({.targets = {server.address()}, .tls = tls});
  const std::vector<float> rows = {1};
  MultiHeadAttentionRequest request;
  request.layer = "l0";
  request.query = {rows, {1, 1, 1}};

  EXPECT_EQ(client->Call(request, {.credentials = grpc::AccessTokenCredentials("t1")}).status(),
            absl::OkStatus());
  EXPECT_EQ(client->Call(request).status(), absl::OkStatus());
  const std::unique_ptr<Pipeline> pipeline =
      *client->OpenPipeline({.credentials = grpc::AccessTokenCredentials("t2")});
  EXPECT_EQ(pipeline->Finish(), absl::OkStatus());
  std::lock_guard lock(mutex);
  EXPECT_THAT(tokens, testing::ElementsAre("Bearer t1", "Bearer t2"));
}

}  // namespace
}  // namespace attend::client
