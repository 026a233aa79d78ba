// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_PEER_NAME_H_
#define ATTEND_SERVER_NET_PEER_NAME_H_

#include <sys/socket.h>

#include <string>

#include "absl/strings/string_view.h"

namespace attend {

// The peer of a connection as gRPC names it ("ipv4:1.2.3.4:567"), but with no character escaped;
// empty on a Unix socket, where peers have no names.
std::string PeerName(const sockaddr_storage& name);

// The name that gRPC gives to a peer, with no character escaped.
std::string UnescapedPeer(absl::string_view peer);

}  // namespace attend

#endif  // ATTEND_SERVER_NET_PEER_NAME_H_
