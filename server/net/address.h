// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_ADDRESS_H_
#define ATTEND_SERVER_NET_ADDRESS_H_

#include <netdb.h>

#include <string>

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

// Whether only this machine reaches "HOST:PORT": "localhost", 127.0.0.0/8 or [::1]. Looks no name
// up.
bool IsLoopback(absl::string_view address);

// A collector to send spans to.
struct Endpoint {
  bool tls = false;     // otherwise plain text
  std::string address;  // "HOST:PORT"
};

// "http://HOST[:PORT]" for plain text, "https://HOST[:PORT]" for TLS, as
// OTEL_EXPORTER_OTLP_ENDPOINT has it; the port is 4317 by default. INVALID_ARGUMENT that says what
// is allowed.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text);
// With its port.
std::string FormatEndpoint(const Endpoint& endpoint);

// getaddrinfo: 0, or the error that gai_strerror explains. The caller frees what was found.
int Resolve(const HostPort& address, addrinfo** found);

// "unix:PATH" has the path, other addresses an empty one.
absl::string_view UnixPath(absl::string_view address);

// Whether a process listens on the Unix socket at `path`.
bool UnixSocketInUse(absl::string_view path);

}  // namespace attend

#endif  // ATTEND_SERVER_NET_ADDRESS_H_
