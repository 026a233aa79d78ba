// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_TCP_INFO_H_
#define ATTEND_SERVER_NET_TCP_INFO_H_

#include <linux/tcp.h>

#include <optional>

namespace attend {

// What the kernel knows of a TCP connection (tcp(7), TCP_INFO); nullopt if the descriptor is none.
std::optional<tcp_info> ReadTcpInfo(int fd);

}  // namespace attend

#endif  // ATTEND_SERVER_NET_TCP_INFO_H_
