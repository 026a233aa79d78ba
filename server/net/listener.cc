// SPDX-License-Identifier: Apache-2.0
#include "server/net/listener.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/net/address.h"

namespace attend {
namespace {

// Connections that the kernel has made and that wait to be taken.
constexpr int kBacklog = 1024;

// A peer that takes in nothing of what was sent for so long is gone, or hostile: its connection
// ends, and with it what its answers hold.
constexpr int kSendTimeoutMs = 60'000;

absl::Status Refuse(absl::string_view address, absl::string_view reason) {
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", reason));
}

absl::Status RefuseForErrno(absl::string_view address) {
  return Refuse(address, std::strerror(errno));
}

int OpenSocket(int family) {
  return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

// Connections inherit what is set on their listener. Ports that only wait for old connections to
// be forgotten count as free; a port that another socket listens on does not.
void SetTcpOptions(int fd) {
  const auto set = [fd](int level, int option, int value) {
    setsockopt(fd, level, option, &value, sizeof(value));
  };
  set(SOL_SOCKET, SO_REUSEADDR, 1);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, kSendTimeoutMs);
}

in_port_t* FindPort(sockaddr* name) {
  return name->sa_family == AF_INET6 ? &reinterpret_cast<sockaddr_in6*>(name)->sin6_port
                                     : &reinterpret_cast<sockaddr_in*>(name)->sin_port;
}

int ReadPort(int fd) {
  sockaddr_storage name = {};
  socklen_t size = sizeof(name);
  getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  return ntohs(*FindPort(reinterpret_cast<sockaddr*>(&name)));
}

}  // namespace

Listener& Listener::operator=(Listener&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(address_, other.address_);
  std::swap(path_, other.path_);
  return *this;
}

void Listener::Close() {
  if (fd_ < 0) return;
  if (!path_.empty()) unlink(path_.c_str());
  close(std::exchange(fd_, -1));
}

absl::StatusOr<std::vector<Listener>> Listener::Open(const std::string& address,
                                                     std::optional<mode_t> unix_mode) {
  return UnixPath(address).empty() ? OpenTcp(address) : OpenUnix(address, unix_mode);
}

absl::StatusOr<std::vector<Listener>> Listener::OpenTcp(const std::string& address) {
  ATTEND_ASSIGN_OR_RETURN(const HostPort target, ParseHostPort(address));
  addrinfo* found = nullptr;
  if (const int error = Resolve(target, &found); error != 0) {
    return Refuse(address, gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  std::vector<Listener> listeners;
  int port = target.port;
  int missing = EAFNOSUPPORT;
  for (addrinfo* place = found; place != nullptr; place = place->ai_next) {
    if (place->ai_family != AF_INET && place->ai_family != AF_INET6) continue;
    Listener listener(OpenSocket(place->ai_family), address);
    *FindPort(place->ai_addr) = htons(static_cast<uint16_t>(port));
    if (listener.fd_ >= 0) SetTcpOptions(listener.fd_);
    if (listener.fd_ < 0 || bind(listener.fd_, place->ai_addr, place->ai_addrlen) != 0 ||
        listen(listener.fd_, kBacklog) != 0) {
      // A name may have addresses that this machine does not have, such as ::1 without IPv6.
      missing = errno;
      if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) continue;
      return RefuseForErrno(address);
    }
    port = ReadPort(listener.fd_);
    listener.address_ = absl::StrCat(target.host, ":", port);
    listeners.push_back(std::move(listener));
  }
  if (listeners.empty()) return Refuse(address, std::strerror(missing));
  return listeners;
}

absl::StatusOr<std::vector<Listener>> Listener::OpenUnix(const std::string& address,
                                                         std::optional<mode_t> mode) {
  const std::string path(UnixPath(address));
  if (UnixSocketInUse(path)) return Refuse(address, "another process does");
  struct stat file = {};
  if (lstat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode)) unlink(path.c_str());
  sockaddr_un name = {};
  if (path.size() >= sizeof(name.sun_path)) return Refuse(address, "the path is too long");
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  Listener listener(OpenSocket(AF_UNIX), address);
  if (listener.fd_ < 0 ||
      bind(listener.fd_, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) {
    return RefuseForErrno(address);
  }
  listener.path_ = path;  // from here on the file is ours to remove
  // The kernel refuses connections until `listen`, so that nobody connects while the file has the
  // permissions that the umask left. The umask itself is left alone: it belongs to all threads.
  if (mode && fchmodat(AT_FDCWD, path.c_str(), *mode, AT_SYMLINK_NOFOLLOW) != 0) {
    return RefuseForErrno(address);
  }
  if (listen(listener.fd_, kBacklog) != 0) return RefuseForErrno(address);
  std::vector<Listener> listeners;
  listeners.push_back(std::move(listener));
  return listeners;
}

}  // namespace attend
