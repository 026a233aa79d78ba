// SPDX-License-Identifier: Apache-2.0

// Options and environment that lead to a server. The openssl command makes the certificates.
#include "client/cli/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "tests/client/cli/command_runner.h"
#include "tests/client/fake_service.h"

namespace attend::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Variables for the length of a scope; none of ours may be set otherwise.
class Environment {
 public:
  using Variables = std::vector<std::pair<std::string, std::string>>;
  explicit Environment(Variables variables) : variables_(std::move(variables)) {
    for (const auto& [name, value] : variables_) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : variables_) unsetenv(name.c_str());
  }

 private:
  const Variables variables_;
};

std::vector<std::string> Call(std::vector<std::string> more) {
  more.insert(more.begin(), {"--layer=l0", "--random=1x2x4", "--max-attempts=1"});
  return more;
}

TEST(ConnectionTest, TheOptionWinsOverTheEnvironment) {
  client::FakeServer server;
  const Environment environment(Environment::Variables{{"ATTEND_SERVER", "127.0.0.1:1"}});
  EXPECT_EQ(RunCommand(RunHealth, {"--max-attempts=1"}).exit, kNoAnswer);
  EXPECT_EQ(RunCommand(RunHealth, {"--server=" + server.address()}).exit, kOk);
}

TEST(ConnectionTest, AWrongValueIsNamed) {
  const auto error = [](const std::vector<std::string>& arguments) {
    const Ran ran = RunCommand(RunHealth, arguments);
    EXPECT_EQ(ran.exit, kUsage);
    return ran.err;
  };
  {
    const Environment environment(Environment::Variables{{"ATTEND_TLS", "yes"}});
    EXPECT_THAT(error({}), HasSubstr("ATTEND_TLS must be on or off, got \"yes\""));
  }
  EXPECT_THAT(error({"--tls", "--plaintext"}), HasSubstr("exclude each other"));
  EXPECT_THAT(error({"--tls-cert=x"}), HasSubstr("--tls-cert needs --tls"));
  EXPECT_THAT(error({"--tls", "--tls-ca=/no/such.pem"}), HasSubstr("/no/such.pem: No such file"));
  EXPECT_THAT(error({"--tls", "--tls-ca=/"}), HasSubstr("/: is a folder"));
  EXPECT_THAT(error({"-H", "X: y"}), HasSubstr("lower case"));
  EXPECT_THAT(error({"--max-attempts=0"}), HasSubstr("--max-attempts must be 1 to 1000"));
}

TEST(ConnectionTest, HeadersAndRequestIdReachTheServer) {
  client::FakeServer server;
  std::mutex mutex;
  std::multimap<std::string, std::string> received;
  server.service.set_hook([&](int, grpc::ServerContext& context) {
    const std::lock_guard<std::mutex> lock(mutex);
    for (const auto& [key, value] : context.client_metadata()) {
      received.emplace(std::string(key.data(), key.size()),
                       std::string(value.data(), value.size()));
    }
    return grpc::Status::OK;
  });
  const Ran ran = RunCommand(
      RunCall,
      Call({"--server=" + server.address(), "-H", "authorization: Bearer abc", "-Hx-tenant:a",
            "--header=x-tenant: b", "-H", "t-bin: AP8", "-H", "x-request-id: r-1"}));
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  const std::lock_guard<std::mutex> lock(mutex);
  EXPECT_EQ(received.find("authorization")->second, "Bearer abc");
  EXPECT_EQ(received.count("x-tenant"), 2u);
  EXPECT_EQ(received.find("t-bin")->second, std::string("\0\xff", 2));
  EXPECT_EQ(received.find("x-request-id")->second, "r-1");
}

class TokenFileTest : public testing::Test {
 protected:
  TokenFileTest()
      : path_(std::filesystem::path(testing::TempDir()) / absl::StrCat("attend-token-", getpid())) {
    server_.service.set_hook([this](int, grpc::ServerContext& context) {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = context.client_metadata().find("authorization");
      received_ = found == context.client_metadata().end()
                      ? ""
                      : std::string(found->second.data(), found->second.size());
      return grpc::Status::OK;
    });
  }
  ~TokenFileTest() override { std::filesystem::remove(path_); }

  // What the server receives for a file with this text; the error of a command that fails.
  std::string Send(const std::string& text, std::vector<std::string> more) {
    std::ofstream(path_) << text;
    more.push_back("--server=" + server_.address());
    const Ran ran = RunCommand(RunCall, Call(std::move(more)));
    EXPECT_THAT(ran.err, Not(HasSubstr("secret")));
    if (ran.exit != kOk) return ran.err;
    const std::lock_guard<std::mutex> lock(mutex_);
    return received_;
  }

  const std::string path_;
  std::mutex mutex_;
  std::string received_;
  client::FakeServer server_;
};

TEST_F(TokenFileTest, SendsTheTokenOfTheFile) {
  EXPECT_EQ(Send("secret-1\n", {"-v", "--token-file=" + path_}), "Bearer secret-1");
  const Environment environment(Environment::Variables{{"ATTEND_TOKEN_FILE", path_}});
  EXPECT_EQ(Send(" secret-2", {}), "Bearer secret-2");
}

TEST_F(TokenFileTest, NamesWhatIsWrong) {
  const std::string option = "--token-file=" + path_;
  for (const std::string text : {"", "\n", "secret 1", "secret\x01"}) {
    EXPECT_THAT(Send(text, {option}), HasSubstr("must hold one token of printable characters"));
  }
  EXPECT_THAT(Send("secret-1", {option, "-H", "authorization: Bearer x"}),
              HasSubstr("exclude each other"));
  EXPECT_THAT(Send("secret-1", {"--token-file=/no/such"}), HasSubstr("/no/such: No such file"));
}

TEST(ConnectionTest, VerboseTellsWhatHappened) {
  client::FakeServer server;
  server.service.set_hook([&](int call, grpc::ServerContext& context) {
    context.AddTrailingMetadata("x-request-id", absl::StrCat("r-", call));
    context.AddTrailingMetadata("t-bin", std::string("\0\xff", 2));
    if (call > 1) return grpc::Status::OK;
    context.AddTrailingMetadata("grpc-retry-pushback-ms", "1");
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue \x1b[2J full");
  });
  const Ran ran =
      RunCommand(RunCall, {"--layer=l0", "--random=1x2x4", "-v", "--server=" + server.address(),
                           "-H", "authorization: secret"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("* server " + server.address() + ", plain text\n"));
  EXPECT_THAT(ran.err, HasSubstr("* sends metadata authorization\n"));
  EXPECT_THAT(ran.err, Not(HasSubstr("secret")));
  EXPECT_THAT(ran.err, HasSubstr("* /attend.v1.AttentionService/MultiHeadAttention, attempt 1, at "
                                 "ipv4:" +
                                 server.address() + "\n"));
  EXPECT_THAT(ran.err,
              HasSubstr(" bytes, received 0 bytes: RESOURCE_EXHAUSTED: queue \\x1b[2J full\n"));
  EXPECT_THAT(ran.err, HasSubstr("*   trailer x-request-id: r-1\n"));
  EXPECT_THAT(ran.err, HasSubstr("*   trailer t-bin: AP8=\n"));
  EXPECT_THAT(ran.err, HasSubstr("*   tries again after 1."));
  EXPECT_THAT(ran.err, HasSubstr(", attempt 2, at "));
  EXPECT_THAT(ran.err, HasSubstr(": OK\n"));
  EXPECT_THAT(ran.out, Not(HasSubstr("* ")));
}

TEST(ConnectionTest, VerboseOfABenchmarkLeavesTheLoadOut) {
  client::FakeServer server;
  const Ran ran =
      RunCommand(RunBench, {"--layer=l0", "--rate=1000", "--warmup=0s", "--duration=5ms", "--quiet",
                            "-v", "--server=" + server.address()});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_GT(server.service.calls(), 1);
  const std::string line = "* /attend.v1.AttentionService/MultiHeadAttention, attempt 1, ";
  EXPECT_THAT(ran.err, HasSubstr(line));
  EXPECT_EQ(ran.err.find(line, ran.err.find(line) + 1), std::string::npos);
}

class TlsConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / absl::StrCat("attend-cli-tls-", getpid());
    std::filesystem::create_directories(folder_);
    const std::string key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes ";
    Openssl("req -x509 " + key + "-days 2 -subj /CN=ca -keyout ca.key -out ca.pem");
    std::ofstream(folder_ / "san.cnf") << "subjectAltName=DNS:attend.test\n";
    for (const std::string name : {"server", "client"}) {
      Openssl("req " + key + "-subj /CN=x -keyout " + name + ".key -out " + name + ".csr");
      Openssl("x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san.cnf -in " +
              name + ".csr -out " + name + ".pem");
    }
    grpc::SslServerCredentialsOptions options(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = Read("ca.pem");
    options.pem_key_cert_pairs.push_back({Read("server.key"), Read("server.pem")});
    server_.emplace("", grpc::SslServerCredentials(options));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Openssl(const std::string& arguments) const {
    const std::string command = "cd '" + folder_.string() + "' && openssl " + arguments + " 2>&1";
    ASSERT_EQ(std::system((command + " >openssl.log").c_str()), 0) << command;
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  std::string Read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(Path(name)).rdbuf();
    return text.str();
  }

  std::filesystem::path folder_;
  std::optional<client::FakeServer> server_;
};

TEST_F(TlsConnectionTest, ByOptions) {
  const Ran ran = RunCommand(
      RunCall, Call({"-v", "--server=" + server_->address(), "--tls", "--tls-ca=" + Path("ca.pem"),
                     "--tls-cert=" + Path("client.pem"), "--tls-key=" + Path("client.key"),
                     "--tls-server-name=attend.test"}));
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr(", TLS\n"));
}

TEST_F(TlsConnectionTest, ByTheEnvironment) {
  const Environment environment({{"ATTEND_SERVER", server_->address()},
                                 {"ATTEND_TLS", "on"},
                                 {"ATTEND_TLS_CA", Path("ca.pem")},
                                 {"ATTEND_TLS_CLIENT_CERT", Path("client.pem")},
                                 {"ATTEND_TLS_CLIENT_KEY", Path("client.key")},
                                 {"ATTEND_TLS_SERVER_NAME", "attend.test"}});
  const Ran ran = RunCommand(RunCall, Call({}));
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  // Options win.
  EXPECT_EQ(RunCommand(RunCall, Call({"--tls-server-name=other.test"})).exit, kNoAnswer);
  EXPECT_EQ(RunCommand(RunCall, Call({"--plaintext"})).exit, kNoAnswer);
  client::FakeServer plain;
  EXPECT_EQ(RunCommand(RunCall, Call({"--plaintext", "--server=" + plain.address()})).exit, kOk);
}

// Several servers and a client may share an environment, as in a container.
TEST_F(TlsConnectionTest, TheEnvironmentOfAServerIsNotThatOfAClient) {
  client::FakeServer plain;
  const Environment environment({{"ATTEND_SERVER", plain.address()},
                                 {"ATTEND_TLS_CERT", Path("server.pem")},
                                 {"ATTEND_TLS_KEY", Path("server.key")},
                                 {"ATTEND_TLS_CLIENT_CA", Path("ca.pem")}});
  EXPECT_EQ(RunCommand(RunCall, Call({})).exit, kOk);
}

}  // namespace
}  // namespace attend::cli
