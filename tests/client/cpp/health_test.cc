// SPDX-License-Identifier: Apache-2.0

// Clients that watch the health of servers.
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "tests/client/cpp/pipeline_tester.h"

namespace attend::client {
namespace {

grpc::Status Refuse(int /*call*/, grpc::ServerContext& /*context*/) {
  return {grpc::StatusCode::UNAVAILABLE, "the server is shutting down"};
}

void SetServing(FakeServer& server, bool serving) {
  server.server().GetHealthCheckService()->SetServingStatus(serving);
}

std::unique_ptr<Client> ConnectTo(std::vector<std::string> targets,
                                  std::optional<bool> watch_health = {}) {
  return *Client::Create(
      {.targets = std::move(targets), .watch_health = watch_health, .retry = {.max_attempts = 1}});
}

// Calls until `done()` or for 30 s. Returns whether `done()` was true; each call must succeed.
template <typename Done>
bool CallUntil(Client& client, Done done) {
  const absl::Time until = absl::Now() + absl::Seconds(30);
  while (!done()) {
    if (absl::Now() > until) return false;
    const auto response = client.Call(RequestOf(1));
    EXPECT_TRUE(response.ok()) << response.status();
    if (!response.ok()) return false;
  }
  return true;
}

bool CallBoth(Client& client, const FakeServer& a, const FakeServer& b) {
  const int calls_a = a.service.calls(), calls_b = b.service.calls();
  return CallUntil(client,
                   [&] { return a.service.calls() > calls_a && b.service.calls() > calls_b; });
}

// Round robin gives each server that it calls every second call: one that has got none of so many
// gets no more.
bool CallUntilLeft(Client& client, const FakeServer& left) {
  int calls = 0, last = left.service.calls();
  return CallUntil(client, [&] {
    if (left.service.calls() != last) calls = 0;
    last = left.service.calls();
    return ++calls > 10;
  });
}

// A server that drains says NOT_SERVING first and refuses calls later. With five attempts, one call
// in 32 met it each time.
TEST(HealthTest, NoCallFailsWhileOneOfTwoServersDrainsAlthoughEachIsAttemptedOnce) {
  FakeServer serving, draining;
  const auto client = ConnectTo({serving.address(), draining.address()});
  ASSERT_TRUE(CallBoth(*client, serving, draining));
  SetServing(draining, false);
  ASSERT_TRUE(CallUntilLeft(*client, draining));
  draining.service.set_hook(Refuse);
  const int before = serving.service.calls();
  EXPECT_TRUE(CallUntil(*client, [&] { return serving.service.calls() >= before + 100; }));
  draining.service.set_hook({});
  SetServing(draining, true);
  EXPECT_TRUE(CallBoth(*client, serving, draining));
}

TEST(HealthTest, AServerWithoutTheHealthServiceIsCalled) {
  FakeServer first(FakeServer::Health::kNone), second(FakeServer::Health::kNone);
  const auto client = ConnectTo({first.address(), second.address()});
  EXPECT_TRUE(CallBoth(*client, first, second));
}

TEST(HealthTest, ASingleTargetIsCalledAlthoughItDrains) {
  FakeServer server;
  SetServing(server, false);
  const auto client = ConnectTo({server.address()});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(client->Call(RequestOf(1)).ok());
}

TEST(HealthTest, TheOptionSaysOtherwise) {
  FakeServer a, b;
  SetServing(a, false);
  EXPECT_TRUE(absl::IsUnavailable(ConnectTo({a.address()}, true)->Call(RequestOf(1)).status()));
  EXPECT_TRUE(CallBoth(*ConnectTo({a.address(), b.address()}, false), a, b));
}

}  // namespace
}  // namespace attend::client
