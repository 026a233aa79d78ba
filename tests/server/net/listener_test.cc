// SPDX-License-Identifier: Apache-2.0
#include "server/net/listener.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/net/sockets.h"

namespace attend {
namespace {

using ::testing::HasSubstr;

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    char path[] = "/tmp/attend-test-XXXXXX";
    directory_ = mkdtemp(path);
  }
  ~ListenerTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
};

TEST_F(ListenerTest, SaysWhichPortItGot) {
  const auto listeners = Listener::Open("127.0.0.1:0");
  ASSERT_TRUE(listeners.ok()) << listeners.status();
  ASSERT_EQ(listeners->size(), 1u);
  const std::string& address = listeners->front().address();
  EXPECT_THAT(address, testing::StartsWith("127.0.0.1:"));
  EXPECT_NE(address, "127.0.0.1:0");
  EXPECT_FALSE(listeners->front().is_unix());
  EXPECT_GE(ClientSocket(address).fd(), 0);
}

TEST_F(ListenerTest, TakesOnePortOnEachAddressOfAHost) {
  const auto listeners = Listener::Open("localhost:0");
  ASSERT_TRUE(listeners.ok()) << listeners.status();
  for (const Listener& listener : *listeners) {
    EXPECT_EQ(listener.address(), listeners->front().address());
  }
}

TEST_F(ListenerTest, NamesAnAddressThatCannotBeHad) {
  const auto first = Listener::Open("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const std::string taken = first->front().address();
  const absl::Status in_use = Listener::Open(taken).status();
  EXPECT_EQ(in_use.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(in_use.message(), HasSubstr(taken));
  EXPECT_THAT(in_use.message(), HasSubstr("in use"));
  const absl::Status unknown = Listener::Open("no.such.host.invalid:1").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(unknown.message(), HasSubstr("no.such.host.invalid:1"));
}

TEST_F(ListenerTest, RemovesItsUnixSocketWhenItCloses) {
  const std::string address = "unix:" + Path("socket");
  {
    const auto listeners = Listener::Open(address);
    ASSERT_TRUE(listeners.ok()) << listeners.status();
    EXPECT_TRUE(listeners->front().is_unix());
    EXPECT_EQ(listeners->front().address(), address);
    EXPECT_GE(ClientSocket(address).fd(), 0);
    const absl::Status second = Listener::Open(address).status();
    EXPECT_THAT(second.message(), HasSubstr("another process does"));
    EXPECT_GE(ClientSocket(address).fd(), 0) << "the first one no longer listens";
  }
  EXPECT_FALSE(std::filesystem::exists(Path("socket")));
}

TEST_F(ListenerTest, GivesAUnixSocketTheModeWhateverTheUmask) {
  const auto open = [&](mode_t umask_now, std::optional<mode_t> mode) {
    const mode_t before = umask(umask_now);
    const auto listeners = Listener::Open("unix:" + Path("socket"), mode);
    umask(before);
    EXPECT_TRUE(listeners.ok()) << listeners.status();
    struct stat file = {};
    EXPECT_EQ(stat(Path("socket").c_str(), &file), 0);
    return file.st_mode & 07777;
  };
  EXPECT_EQ(open(0077, 0660), 0660u);
  EXPECT_EQ(open(0, 0600), 0600u);
  EXPECT_EQ(open(0027, std::nullopt), 0750u);
}

TEST_F(ListenerTest, TakesOverASocketFileThatNobodyUsesButNoOtherFile) {
  {
    const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, Path("socket").c_str(), sizeof(name.sun_path) - 1);
    ASSERT_EQ(bind(dead, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    close(dead);
  }
  EXPECT_TRUE(Listener::Open("unix:" + Path("socket")).ok());
  std::ofstream(Path("file")) << "precious";
  const absl::Status status = Listener::Open("unix:" + Path("file")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(std::filesystem::exists(Path("file")));
}

}  // namespace
}  // namespace attend
