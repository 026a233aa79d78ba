// SPDX-License-Identifier: Apache-2.0
#include "server/net/address.h"

#include <dirent.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace attend {
namespace {

// getaddrinfo; the caller frees what it found.
int Resolve(const HostPort& address, addrinfo** found) {
  const absl::string_view host = absl::StripSuffix(absl::StripPrefix(address.host, "["), "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  return getaddrinfo(std::string(host).c_str(), std::to_string(address.port).c_str(), &hints,
                     found);
}

// The port of an internet address; 0: it is of another family.
int PortOf(const sockaddr_storage& name) {
  if (name.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port);
  if (name.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6&>(name).sin6_port);
  }
  return 0;
}

// Whether `fd` is a socket for streams whose own end is `address`.
bool IsBoundTo(int fd, absl::string_view address) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
  sockaddr_storage name = {};
  size = sizeof(name);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return false;
  const absl::string_view path = UnixPath(address);
  if (path.empty()) {
    const absl::StatusOr<HostPort> tcp = ParseHostPort(address);
    return tcp.ok() && tcp->port != 0 && tcp->port == PortOf(name);
  }
  if (name.ss_family != AF_UNIX) return false;
  const auto& local = reinterpret_cast<const sockaddr_un&>(name);
  return path == absl::string_view(local.sun_path, strnlen(local.sun_path, sizeof(local.sun_path)));
}

bool Listens(int fd) {
  int listens = 0;
  socklen_t size = sizeof(listens);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

// The sockets of this process that are bound to one of `addresses`.
struct BoundSockets {
  explicit BoundSockets(const std::vector<std::string>& addresses) {
    DIR* const open_files = opendir("/proc/self/fd");
    if (open_files == nullptr) return;
    while (const dirent* entry = readdir(open_files)) {
      int fd = -1;
      if (!absl::SimpleAtoi(entry->d_name, &fd)) continue;
      const auto bound = [fd](const std::string& address) { return IsBoundTo(fd, address); };
      if (!std::any_of(addresses.begin(), addresses.end(), bound)) continue;
      (Listens(fd) ? listeners : connections).push_back(fd);
    }
    closedir(open_files);
  }
  std::vector<int> listeners, connections;
};

// Whether the peer has not yet received all that was written.
bool HasUnsent(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  HostPort address;
  if (colon == absl::string_view::npos || colon == 0) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not HOST:PORT"));
  }
  address.host = std::string(text.substr(0, colon));
  if (address.host.find(':') != std::string::npos && address.host.front() != '[') {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": an IPv6 address stands in brackets, as in [::]:50051"));
  }
  if (!absl::SimpleAtoi(text.substr(colon + 1), &address.port) || address.port < 0 ||
      address.port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": the port is a number from 0 to 65535"));
  }
  return address;
}

std::string BindError(const HostPort& address) {
  addrinfo* found = nullptr;
  const int error = Resolve(address, &found);
  if (error != 0) return gai_strerror(error);
  std::string reason = "the address is not available";
  const int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
  if (fd >= 0) {
    // Servers set it too: ports that only wait for old connections count as free.
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0) {
      reason = std::strerror(errno);
    }
    close(fd);
  }
  freeaddrinfo(found);
  return reason;
}

void Knock(const HostPort& address) {
  addrinfo* found = nullptr;
  if (Resolve(address, &found) != 0) return;
  const int fd = socket(found->ai_family, found->ai_socktype | SOCK_NONBLOCK, found->ai_protocol);
  if (fd >= 0) {
    // "In progress" is as good as done; so is a refusal.
    static_cast<void>(connect(fd, found->ai_addr, found->ai_addrlen));
    close(fd);
  }
  freeaddrinfo(found);
}

absl::string_view UnixPath(absl::string_view address) {
  if (!absl::ConsumePrefix(&address, "unix:")) return absl::string_view();
  // As an URI has it: an empty host before the path.
  if (absl::StartsWith(address, "///")) address.remove_prefix(2);
  return address;
}

bool UnixSocketInUse(absl::string_view path) {
  sockaddr_un address = {};
  if (path.size() >= sizeof(address.sun_path)) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return false;
  const bool in_use =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return in_use;
}

void EndConnections(const std::vector<std::string>& addresses) {
  // Listeners first: who is turned away would otherwise come back at once.
  const std::vector<int> listeners = BoundSockets(addresses).listeners;
  for (const int fd : listeners) shutdown(fd, SHUT_RDWR);
  // Now no more are taken. What listened does not look like it any longer.
  std::vector<int> connections = BoundSockets(addresses).connections;
  const auto listened = [&](int fd) {
    return std::find(listeners.begin(), listeners.end(), fd) != listeners.end();
  };
  connections.erase(std::remove_if(connections.begin(), connections.end(), listened),
                    connections.end());
  // Only what is written: data that comes to a socket which reads no more resets it, and
  // what was not sent yet would be lost.
  for (const int fd : connections) shutdown(fd, SHUT_WR);
  for (int i = 0; i < 100; ++i) {
    if (std::none_of(connections.begin(), connections.end(), HasUnsent)) return;
    usleep(1000);
  }
}

}  // namespace attend
