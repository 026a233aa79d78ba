// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/http_endpoint.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using testing::HasSubstr;

TEST(HttpEndpointTest, RefusesAPortInUseAndNamesIt) {
  const auto text = [] { return std::string(); };
  const auto yes = [] { return true; };
  const auto first = HttpEndpoint::Start("127.0.0.1:0", text, yes);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = HttpEndpoint::Start((*first)->address(), text, yes);
  ASSERT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr((*first)->address()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
}

}  // namespace
}  // namespace attend
