// SPDX-License-Identifier: Apache-2.0
#include "server/net/peer_name.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace attend {

std::string PeerName(const sockaddr_storage& name) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (name.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(name);
    inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
    return absl::StrCat("ipv4:", text.data(), ":", ntohs(address.sin_port));
  }
  if (name.ss_family != AF_INET6) return "";
  const auto& address = reinterpret_cast<const sockaddr_in6&>(name);
  if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
    inet_ntop(AF_INET, &address.sin6_addr.s6_addr[12], text.data(), text.size());
    return absl::StrCat("ipv4:", text.data(), ":", ntohs(address.sin6_port));
  }
  inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
  const std::string scope =
      address.sin6_scope_id == 0 ? "" : absl::StrCat("%", address.sin6_scope_id);
  return absl::StrCat("ipv6:[", text.data(), scope, "]:", ntohs(address.sin6_port));
}

std::string UnescapedPeer(absl::string_view peer) {
  return absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
}

}  // namespace attend
