// SPDX-License-Identifier: Apache-2.0
#include "server/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace attend {
namespace {

// Of collectors that take OTLP over gRPC, as registered with IANA.
constexpr int kOtlpPort = 4317;

}  // namespace

bool IsLoopback(absl::string_view address) {
  const absl::StatusOr<HostPort> target = ParseHostPort(address);
  if (!target.ok()) return false;
  in_addr ipv4 = {};
  if (inet_pton(AF_INET, target->host.c_str(), &ipv4) == 1) return ntohl(ipv4.s_addr) >> 24 == 127;
  return target->host == "localhost" || target->host == "[::1]";
}

int Resolve(const HostPort& address, addrinfo** found) {
  const absl::string_view host = absl::StripSuffix(absl::StripPrefix(address.host, "["), "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  return getaddrinfo(std::string(host).c_str(), std::to_string(address.port).c_str(), &hints,
                     found);
}

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

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(absl::StrCat(
      "\"", text,
      "\" is neither http://HOST:PORT, for plain text, nor https://HOST:PORT, for TLS; ",
      "without :PORT it is ", kOtlpPort));
  Endpoint endpoint;
  endpoint.tls = absl::ConsumePrefix(&text, "https://");
  if (!endpoint.tls && !absl::ConsumePrefix(&text, "http://")) return wrong;
  const size_t colon = text.rfind(':');
  const bool has_port = colon != absl::string_view::npos && !absl::EndsWith(text, "]");
  endpoint.address = has_port ? std::string(text) : absl::StrCat(text, ":", kOtlpPort);
  const absl::StatusOr<HostPort> parsed = ParseHostPort(endpoint.address);
  if (!parsed.ok() || parsed->port == 0) return wrong;
  // Neither a path nor a user's name and password.
  const bool is_host = std::all_of(parsed->host.begin(), parsed->host.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._[]:", c);
  });
  if (!is_host) return wrong;
  return endpoint;
}

std::string FormatEndpoint(const Endpoint& endpoint) {
  return absl::StrCat(endpoint.tls ? "https://" : "http://", endpoint.address);
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

}  // namespace attend
