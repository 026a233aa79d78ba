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

// A listener and one connection to it, taken.
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

TEST(EndConnectionsTest, EndsWhatWasTakenOnAnAddressAfterWhatWasWritten) {
  char directory[] = "/tmp/attend-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = absl::StrCat(directory, "/socket");
  Connection tcp, local, other;
  ASSERT_NO_FATAL_FAILURE(tcp.ConnectTcp());
  ASSERT_NO_FATAL_FAILURE(local.ConnectUnix(path));
  ASSERT_NO_FATAL_FAILURE(other.ConnectTcp());
  for (const Connection* one : {&tcp, &local, &other}) ASSERT_EQ(write(one->server, "x", 1), 1);

  EndConnections({tcp.address, local.address});

  char read_back[2];
  for (const Connection* one : {&tcp, &local}) {
    EXPECT_EQ(read(one->client, read_back, 2), 1) << one->address;
    EXPECT_EQ(read(one->client, read_back, 2), 0) << one->address;  // the end
    EXPECT_EQ(send(one->server, "y", 1, MSG_NOSIGNAL), -1) << one->address;
  }
  EXPECT_EQ(write(other.server, "y", 1), 1);
  EXPECT_EQ(write(other.client, "z", 1), 1);

  unlink(path.c_str());
  rmdir(directory);
}

// A client's own end of a connection has another port; its server may be elsewhere.
TEST(EndConnectionsTest, LeavesTheListenerAndConnectionsAsAClientAlone) {
  Connection tcp;
  ASSERT_NO_FATAL_FAILURE(tcp.ConnectTcp());
  close(tcp.server);
  tcp.server = -1;
  EndConnections({tcp.address});
  EXPECT_EQ(send(tcp.client, "z", 1, MSG_NOSIGNAL), 1);
  Connection second;
  second.client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in name = {};
  socklen_t size = sizeof(name);
  ASSERT_EQ(getsockname(tcp.listener, reinterpret_cast<sockaddr*>(&name), &size), 0);
  EXPECT_EQ(connect(second.client, reinterpret_cast<sockaddr*>(&name), size), 0);
}

}  // namespace
}  // namespace attend
