// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SERVER_NET_SOCKETS_H_
#define ATTEND_TESTS_SERVER_NET_SOCKETS_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "server/net/address.h"

namespace attend {

// A client's end of a connection; fd() is negative if there is none.
class ClientSocket {
 public:
  // Connects to "127.0.0.1:PORT" from `source`, which is one of the loopback's addresses, or to
  // "unix:PATH".
  explicit ClientSocket(const std::string& address, const std::string& source = "127.0.0.1") {
    const std::string path(UnixPath(address));
    fd_ = socket(path.empty() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = 0;
    if (path.empty()) {
      sockaddr_in name = {};
      name.sin_family = AF_INET;
      inet_pton(AF_INET, source.c_str(), &name.sin_addr);
      failed = bind(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name));
      inet_pton(AF_INET, "127.0.0.1", &name.sin_addr);
      name.sin_port = htons(static_cast<uint16_t>(ParseHostPort(address)->port));
      failed =
          failed != 0 ? failed : connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name));
    } else {
      sockaddr_un name = {};
      name.sun_family = AF_UNIX;
      std::strncpy(name.sun_path, path.c_str(), sizeof(name.sun_path) - 1);
      failed = connect(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name));
    }
    if (failed != 0) close(std::exchange(fd_, -1));
  }
  ClientSocket(ClientSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~ClientSocket() {
    if (fd_ >= 0) close(fd_);
  }

  int fd() const { return fd_; }

  // "ipv4:127.0.0.1:PORT", as the server sees it.
  std::string PeerName() const {
    sockaddr_in name = {};
    socklen_t size = sizeof(name);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size);
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &name.sin_addr, address, sizeof(address));
    return "ipv4:" + std::string(address) + ":" + std::to_string(ntohs(name.sin_port));
  }

  // Blocks until the server ends the connection or sends a byte; whether it has ended it.
  bool WaitForEnd() const {
    char byte = 0;
    return recv(fd_, &byte, 1, 0) <= 0;
  }

 private:
  int fd_ = -1;
};

}  // namespace attend

#endif  // ATTEND_TESTS_SERVER_NET_SOCKETS_H_
