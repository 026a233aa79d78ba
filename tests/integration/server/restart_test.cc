// SPDX-License-Identifier: Apache-2.0

// Servers that are replaced while clients go on calling.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "attend/client.h"
#include "gtest/gtest.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

// A server that comes back at the addresses that it had.
class Replica {
 public:
  explicit Replica(int number)
      // No other program uses this address of the loopback, so that its port stays free meanwhile.
      : tcp_(absl::StrCat("127.", 64 + number, ".", getpid() / 256 % 256, ".", 1 + getpid() % 254,
                          ":0")),
        unix_(absl::StrCat("unix:", TestPath(absl::StrCat("replica-", number)))) {
    Start();
  }

  // Blocks until the server serves.
  void Start() {
    server_ = std::make_unique<ServerProcess>(
        std::vector<std::string>{absl::StrCat("--listen=", tcp_), absl::StrCat("--listen=", unix_),
                                 "--drain-delay=100ms", "--workers=1"});
    tcp_ = server_->addresses().at(2);
  }

  // Returns the exit code.
  int Stop(int signal) {
    server_->process().Signal(signal);
    return server_->process().Wait();
  }

  double answered() const {
    return Sum(server_->Metrics(), "attend_requests_total", {"code=\"OK\""});
  }
  const std::string& tcp() const { return tcp_; }
  const std::string& unix_socket() const { return unix_; }

 private:
  std::string tcp_, unix_;
  std::unique_ptr<ServerProcess> server_;
};

client::ScaledDotProductAttentionRequest SmallRequest() {
  client::ScaledDotProductAttentionRequest request;
  request.query = request.key = request.value =
      client::TensorView::Owning(std::vector<float>(8 * 16, 0.5f), {1, 8, 1, 16});
  return request;
}

// Calls with the client's defaults, from several threads, until it is destroyed.
class Load {
 public:
  explicit Load(std::vector<std::string> targets)
      : client_(*client::Client::Create({.targets = std::move(targets)})) {
    // Under a sanitizer eight would leave a server that starts no core for minutes.
    for (int i = 0; i < (kSanitized ? 2 : 8); ++i) {
      threads_.emplace_back([this] {
        while (!done_) {
          const auto response = client_->Call(SmallRequest());
          ++(response.ok() ? answered_ : failed_);
          EXPECT_TRUE(response.ok()) << response.status();
        }
      });
    }
  }
  ~Load() {
    done_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

  int answered() const { return answered_; }
  int failed() const { return failed_; }

 private:
  const std::unique_ptr<client::Client> client_;
  std::atomic<bool> done_{false};
  std::atomic<int> answered_{0}, failed_{0};
  std::vector<std::thread> threads_;
};

void RestartInTurnUnderLoad(std::vector<Replica>& replicas, std::vector<std::string> targets) {
  constexpr int kRestarts = 20;
  const Load load(std::move(targets));
  for (int i = 0; i < kRestarts && load.failed() == 0; ++i) {
    Replica& replica = replicas[static_cast<size_t>(i) % replicas.size()];
    EXPECT_EQ(replica.Stop(SIGTERM), 0);
    replica.Start();
    // The next one goes once this one has calls, as a rollout waits for each new server.
    EXPECT_TRUE(Eventually([&] { return replica.answered() > 0 || load.failed() > 0; }));
  }
  EXPECT_EQ(load.failed(), 0);
  EXPECT_GT(load.answered(), kRestarts);
}

TEST(RestartTest, NoCallFailsWhileServersOnTcpRestartInTurn) {
  std::vector<Replica> replicas;
  for (int number : {0, 1}) replicas.emplace_back(number);
  RestartInTurnUnderLoad(replicas, {replicas[0].tcp(), replicas[1].tcp()});
}

TEST(RestartTest, NoCallFailsWhileServersOnUnixSocketsRestartInTurn) {
  std::vector<Replica> replicas;
  for (int number : {2, 3}) replicas.emplace_back(number);
  RestartInTurnUnderLoad(replicas, {replicas[0].unix_socket(), replicas[1].unix_socket()});
}

// A client with several targets watches their health.
TEST(RestartTest, AServerThatDrainsGetsNoNewCallsOfAClientThatHasAnother) {
  ServerProcess staying({"--workers=1"}), draining({"--workers=1", "--drain-delay=1h"});
  const auto client = *client::Client::Create(
      {.targets = {staying.tcp(), draining.tcp()}, .retry = {.max_attempts = 1}});
  const auto answered = [](const ServerProcess& server) {
    return Sum(server.Metrics(), "attend_requests_total", {"code=\"OK\""});
  };
  const auto call = [&client] {
    const auto response = client->Call(SmallRequest());
    EXPECT_TRUE(response.ok()) << response.status();
  };
  ASSERT_TRUE(Eventually([&] {
    call();
    return answered(staying) > 0 && answered(draining) > 0;
  }));
  draining.process().Signal(SIGTERM);
  EXPECT_TRUE(Eventually([&] {
    const double before = answered(draining);
    for (int i = 0; i < 10; ++i) call();
    return answered(draining) == before;
  }));
}

TEST(RestartTest, TheSuccessorOfAKilledServerAnswersAtItsAddresses) {
  Replica replica(4);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(replica.Stop(SIGKILL), 128 + SIGKILL);
    replica.Start();
    for (const std::string& target : {replica.tcp(), replica.unix_socket()}) {
      const auto client = *client::Client::Create({.targets = {target}});
      const auto response = client->Call(SmallRequest());
      EXPECT_TRUE(response.ok()) << target << ": " << response.status();
    }
  }
}

}  // namespace
}  // namespace attend
