// SPDX-License-Identifier: Apache-2.0
#include "server/net/address.h"

#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(EndpointTest, TakesHttpForPlainTextAndHttpsForTls) {
  for (const auto& [text, tls, address] : std::vector<std::tuple<const char*, bool, const char*>>{
           {"http://localhost:1", false, "localhost:1"},
           {"https://otel-collector.monitoring.svc:4317", true,
            "otel-collector.monitoring.svc:4317"},
           {"http://127.0.0.1", false, "127.0.0.1:4317"},
           {"https://[::1]", true, "[::1]:4317"},
           {"https://[2001:db8::1]:65535", true, "[2001:db8::1]:65535"}}) {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text);
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    EXPECT_EQ(endpoint->tls, tls) << text;
    EXPECT_EQ(endpoint->address, address);
    EXPECT_EQ(FormatEndpoint(*endpoint), absl::StrCat(tls ? "https://" : "http://", address));
  }
}

TEST(EndpointTest, SaysWhatIsAllowedWhereItIsSomethingElse) {
  for (const char* text :
       {"", "localhost:4317", "grpc://localhost:4317", "HTTP://localhost:4317", "http://",
        "http://:4317", "http://localhost:0", "http://localhost:65536", "http://localhost:",
        "http://localhost:4317/", "http://localhost:4317/v1/traces", "http://user:secret@host:4317",
        "http://::1", "http://a b:4317", "http:// localhost", "unix:/run/collector.sock"}) {
    const absl::StatusOr<Endpoint> endpoint = ParseEndpoint(text);
    ASSERT_EQ(endpoint.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(std::string(endpoint.status().message()),
              absl::StrCat("\"", text,
                           "\" is neither http://HOST:PORT, for plain text, nor "
                           "https://HOST:PORT, for TLS; without :PORT it is 4317"));
  }
}

TEST(UnixPathTest, TakesPathsAsGrpcDoes) {
  EXPECT_EQ(UnixPath("unix:/run/s"), "/run/s");
  EXPECT_EQ(UnixPath("unix:s"), "s");
  EXPECT_EQ(UnixPath("unix:///run/s"), "/run/s");
  EXPECT_EQ(UnixPath("127.0.0.1:1"), "");
}

}  // namespace
}  // namespace attend
