// SPDX-License-Identifier: Apache-2.0
#include "server/net/address.h"

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(UnixPathTest, TakesPathsAsGrpcDoes) {
  EXPECT_EQ(UnixPath("unix:/run/s"), "/run/s");
  EXPECT_EQ(UnixPath("unix:s"), "s");
  EXPECT_EQ(UnixPath("unix:///run/s"), "/run/s");
  EXPECT_EQ(UnixPath("127.0.0.1:1"), "");
}

}  // namespace
}  // namespace attend
