// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_LISTENER_H_
#define ATTEND_SERVER_NET_LISTENER_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace attend {

// A socket that takes connections. Owns its descriptor, and the file of a Unix socket.
class Listener {
 public:
  // Listens on "HOST:PORT", on each address that the host has, or on "unix:PATH", whose file is
  // made anew if no process listens there. Port 0 is any free one, the same for each address.
  // `unix_mode` are the permissions of the file; without it they are what the umask leaves.
  // UNAVAILABLE that names the address and says why it cannot be had.
  static absl::StatusOr<std::vector<Listener>> Open(const std::string& address,
                                                    std::optional<mode_t> unix_mode = std::nullopt);

  Listener(Listener&& other) noexcept { *this = std::move(other); }
  Listener& operator=(Listener&& other) noexcept;
  ~Listener() { Close(); }

  // Does not block in accept.
  int fd() const { return fd_; }
  bool is_unix() const { return !path_.empty(); }

  // As it was given, with the port in use.
  const std::string& address() const { return address_; }

  // Takes no more connections. May be called again.
  void Close();

 private:
  Listener(int fd, std::string address) : fd_(fd), address_(std::move(address)) {}

  static absl::StatusOr<std::vector<Listener>> OpenTcp(const std::string& address);
  static absl::StatusOr<std::vector<Listener>> OpenUnix(const std::string& address,
                                                        std::optional<mode_t> mode);

  int fd_ = -1;
  std::string address_;
  std::string path_;  // of the Unix socket that this made
};

}  // namespace attend

#endif  // ATTEND_SERVER_NET_LISTENER_H_
