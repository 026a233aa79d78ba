// SPDX-License-Identifier: Apache-2.0
#include "server/net/tcp_info.h"

#include <netinet/in.h>
#include <sys/socket.h>

namespace attend {

std::optional<tcp_info> ReadTcpInfo(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return info;
}

}  // namespace attend
