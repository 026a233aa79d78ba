#include "server/net/address.h"

#include <dirent.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

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

// The port that the socket `fd` is bound to; 0: it is none of TCP.
int LocalPort(const sockaddr_storage& name) {
  if (name.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port);
  if (name.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6&>(name).sin6_port);
  }
  return 0;
}

// Whether `fd` is a connection whose own end is `address`.
bool IsConnectionOn(int fd, absl::string_view address) {
  int listens = 1;
  socklen_t size = sizeof(listens);
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens != 0) return false;
  sockaddr_storage name = {};
  size = sizeof(name);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return false;
  const absl::string_view path = UnixPath(address);
  if (path.empty()) {
    const absl::StatusOr<HostPort> tcp = ParseHostPort(address);
    return tcp.ok() && tcp->port == LocalPort(name);
  }
  if (name.ss_family != AF_UNIX) return false;
  const auto& local = reinterpret_cast<const sockaddr_un&>(name);
  return path == absl::string_view(local.sun_path, strnlen(local.sun_path, sizeof(local.sun_path)));
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
  return absl::ConsumePrefix(&address, "unix:") ? address : absl::string_view();
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
  DIR* const open_files = opendir("/proc/self/fd");
  if (open_files == nullptr) return;
  while (const dirent* entry = readdir(open_files)) {
    int fd = -1;
    if (!absl::SimpleAtoi(entry->d_name, &fd)) continue;
    for (const std::string& address : addresses) {
      if (IsConnectionOn(fd, address)) shutdown(fd, SHUT_RDWR);
    }
  }
  closedir(open_files);
}

}  // namespace attend
