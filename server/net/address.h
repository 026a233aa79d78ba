// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_ADDRESS_H_
#define ATTEND_SERVER_NET_ADDRESS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attend {

// A place to listen on over TCP.
struct HostPort {
  std::string host;  // a name, IPv4, or IPv6 in brackets; "0.0.0.0" for all
  int port = 0;      // 0: any free one
};

// "HOST:PORT". INVALID_ARGUMENT that names what is wrong.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// Why an address could not be listened on, found out by trying once more: gRPC
// and CivetWeb do not tell.
std::string BindError(const HostPort& address);

// Begins to connect to it and lets go, so that a thread that waits for a
// connection there wakes. Does not wait for an answer.
void Knock(const HostPort& address);

// "unix:PATH" has the path, other addresses an empty one.
absl::string_view UnixPath(absl::string_view address);

// Whether a process listens on the Unix socket at `path`. gRPC takes over a
// socket file without asking.
bool UnixSocketInUse(absl::string_view path);

// For a server that leaves: ends listening on `addresses` ("HOST:PORT" with the
// port in use, or "unix:PATH"), then what is written on each connection that was
// taken there. Blocks until peers have received what was written before, for
// 100 ms at most. The sockets stay their owner's to close; nothing written on
// them later leaves.
void EndConnections(const std::vector<std::string>& addresses);

}  // namespace attend

#endif  // ATTEND_SERVER_NET_ADDRESS_H_
