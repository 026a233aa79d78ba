// SPDX-License-Identifier: Apache-2.0
#include "server/net/address.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

// A listener and one accepted connection to it.
struct Connection {
  int listener = -1, server = -1, client = -1;
  std::string address;

  ~Connection() {
    for (const int fd : {listener, server, client}) close(fd);
  }
  void Connect(const sockaddr* name, socklen_t size) {
    listener = socket(name->sa_family, SOCK_STREAM, 0);
    ASSERT_EQ(bind(listener, name, size), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    sockaddr_storage bound = {};
    socklen_t bound_size = sizeof(bound);
    ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &bound_size), 0);
    if (name->sa_family == AF_INET) {
      address = absl::StrCat("127.0.0.1:", ntohs(reinterpret_cast<sockaddr_in&>(bound).sin_port));
    }
    client = socket(name->sa_family, SOCK_STREAM, 0);
    ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&bound), bound_size), 0);
    server = accept(listener, nullptr, nullptr);
    ASSERT_GE(server, 0);
  }
  void ConnectTcp() {
    sockaddr_in name = {};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    Connect(reinterpret_cast<sockaddr*>(&name), sizeof(name));
  }
  void ConnectUnix(const std::string& path) {
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, path.c_str(), sizeof(name.sun_path) - 1);
    address = absl::StrCat("unix:", path);
    Connect(reinterpret_cast<sockaddr*>(&name), sizeof(name));
  }
};

TEST(UnixPathTest, TakesPathsAsGrpcDoes) {
  EXPECT_EQ(UnixPath("unix:/run/s"), "/run/s");
  EXPECT_EQ(UnixPath("unix:s"), "s");
  EXPECT_EQ(UnixPath("unix:///run/s"), "/run/s");
  EXPECT_EQ(UnixPath("127.0.0.1:1"), "");
}

// Sends more than the peer has room for, so that some bytes wait on this side.
std::string Fill(int fd) {
  std::string written;
  const std::string piece(4096, 'x');
  for (;;) {
    const ssize_t n = send(fd, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n <= 0) return written;
    written.append(piece, 0, static_cast<size_t>(n));
  }
}

std::string ReadAll(int fd) {
  std::string all;
  char piece[4096];
  for (ssize_t n = read(fd, piece, sizeof(piece)); n > 0; n = read(fd, piece, sizeof(piece))) {
    all.append(piece, static_cast<size_t>(n));
    // Answers what it reads, as a peer of HTTP/2 does.
    EXPECT_EQ(send(fd, "y", 1, MSG_NOSIGNAL), 1);
  }
  return all;
}

TEST(EndConnectionsTest, EndsWhatWasTakenOnAnAddressAfterAllThatWasWritten) {
  char directory[] = "/tmp/attend-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = absl::StrCat(directory, "/socket");
  Connection tcp, local, other;
  ASSERT_NO_FATAL_FAILURE(tcp.ConnectTcp());
  ASSERT_NO_FATAL_FAILURE(local.ConnectUnix(path));
  ASSERT_NO_FATAL_FAILURE(other.ConnectTcp());
  const std::string to_tcp = Fill(tcp.server), to_local = Fill(local.server);
  ASSERT_FALSE(to_tcp.empty() || to_local.empty());

  EndConnections({tcp.address, local.address});

  EXPECT_EQ(send(tcp.server, "y", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(send(local.server, "y", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(ReadAll(tcp.client).size(), to_tcp.size());
  EXPECT_EQ(ReadAll(local.client).size(), to_local.size());
  EXPECT_EQ(send(other.server, "y", 1, MSG_NOSIGNAL), 1);

  unlink(path.c_str());
  rmdir(directory);
}

TEST(EndConnectionsTest, TakesNoMoreAndLeavesConnectionsAsAClientAlone) {
  Connection tcp;
  ASSERT_NO_FATAL_FAILURE(tcp.ConnectTcp());
  sockaddr_in name = {};
  socklen_t size = sizeof(name);
  ASSERT_EQ(getsockname(tcp.listener, reinterpret_cast<sockaddr*>(&name), &size), 0);
  EndConnections({tcp.address});
  EXPECT_EQ(send(tcp.client, "z", 1, MSG_NOSIGNAL), 1);
  const int late = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(late, reinterpret_cast<sockaddr*>(&name), size), -1);
  close(late);
}

}  // namespace
}  // namespace attend
