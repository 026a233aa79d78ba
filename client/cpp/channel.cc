// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/channel.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "client/cpp/status.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace attend::client::internal {
namespace {

bool HasScheme(absl::string_view target) {
  for (const absl::string_view scheme :
       {"dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:", "vsock:"}) {
    if (absl::StartsWith(target, scheme)) return true;
  }
  return false;
}

// "host:port" or "[v6]:port" into its parts; false where it is neither.
bool SplitHostPort(absl::string_view target, std::string* host, std::string* port) {
  const size_t colon = target.rfind(':');
  if (colon == absl::string_view::npos || colon + 1 == target.size()) return false;
  absl::string_view name = target.substr(0, colon);
  if (absl::ConsumePrefix(&name, "[")) {
    if (!absl::ConsumeSuffix(&name, "]")) return false;
  } else if (absl::StrContains(name, ':')) {
    return false;
  }
  *host = std::string(name);
  *port = std::string(target.substr(colon + 1));
  return !host->empty();
}

// Adds every address of `target` as "[v6]:port"; an IPv4 address in its IPv6
// form, because one gRPC target holds addresses of one family only.
absl::Status Resolve(const std::string& target, std::set<std::string>* addresses) {
  std::string host;
  std::string port;
  if (HasScheme(target) || !SplitHostPort(target, &host, &port)) {
    return LocalError("INVALID_TARGET", "targets",
                      absl::StrCat("\"", target,
                                   "\" must be host:port where several targets are given "
                                   "(or all of them unix:path)"));
  }
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat("target \"", target, "\" does not resolve: ", gai_strerror(error)));
  }
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    char text[INET6_ADDRSTRLEN];
    if (each->ai_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(each->ai_addr);
      inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
      addresses->insert(absl::StrCat("[::ffff:", text, "]:", ntohs(v4->sin_port)));
    } else if (each->ai_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(each->ai_addr);
      inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
      addresses->insert(absl::StrCat("[", text, "]:", ntohs(v6->sin6_port)));
    }
  }
  freeaddrinfo(found);
  return absl::OkStatus();
}

std::shared_ptr<grpc::ChannelCredentials> Credentials(const ClientOptions& options) {
  if (!options.tls.has_value()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = options.tls->root_certificates_pem;
  ssl.pem_cert_chain = options.tls->certificate_pem;
  ssl.pem_private_key = options.tls->private_key_pem;
  return grpc::SslCredentials(ssl);
}

// gRPC's INT_MAX: never.
int Milliseconds(absl::Duration time) {
  return static_cast<int>(
      std::min<int64_t>(absl::ToInt64Milliseconds(time), std::numeric_limits<int>::max()));
}

grpc::ChannelArguments Arguments(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetLoadBalancingPolicyName("round_robin");
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  if (options.watch_health.value_or(options.targets.size() > 1)) {
    arguments.SetServiceConfigJSON(R"({"healthCheckConfig": {"serviceName": ""}})");
  }
  // gRPC's own retries keep at most 256 KiB of a message; ours replace them.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetMaxReceiveMessageSize(options.max_response_bytes);
  // gRPC inflates a message before it compares its size with the limit: 1 MB can
  // become 1 GB. Our server never compresses.
  arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // The default of 1 s is longer than all our backoffs together: every retry
  // would fail on the same connection attempt.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_time));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout));
  // By default gRPC stops after two PINGs without data of its own in between, which a call
  // that waits for its answer does not send.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, options.use_http_proxy ? 1 : 0);
  // Otherwise channels with equal arguments share their connections.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (options.tls.has_value() && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  return arguments;
}

}  // namespace

absl::StatusOr<std::string> TargetOf(const std::vector<std::string>& targets) {
  if (targets.empty()) return LocalError("INVALID_TARGET", "targets", "is empty");
  if (targets.size() == 1) {
    if (targets[0].empty()) return LocalError("INVALID_TARGET", "targets", "holds an empty target");
    return HasScheme(targets[0]) ? targets[0] : absl::StrCat("dns:///", targets[0]);
  }
  std::vector<absl::string_view> paths;
  for (const std::string& target : targets) {
    absl::string_view path = target;
    if (absl::ConsumePrefix(&path, "unix:")) paths.push_back(path);
  }
  if (paths.size() == targets.size()) return absl::StrCat("unix:", absl::StrJoin(paths, ","));

  std::set<std::string> addresses;
  for (const std::string& target : targets) {
    if (absl::Status s = Resolve(target, &addresses); !s.ok()) return s;
  }
  return absl::StrCat("ipv6:", absl::StrJoin(addresses, ","));
}

absl::StatusOr<std::vector<std::shared_ptr<grpc::Channel>>> CreateChannels(
    const ClientOptions& options) {
  if (options.channels < 1 || options.channels > 1024) {
    return LocalError("INVALID_OPTION", "channels",
                      absl::StrCat("must be 1 to 1024, got ", options.channels));
  }
  if (options.max_response_bytes < 1) {
    return LocalError("INVALID_OPTION", "max_response_bytes",
                      absl::StrCat("must be positive, got ", options.max_response_bytes));
  }
  for (const auto& [name, time] : {std::pair("keepalive_time", options.keepalive_time),
                                   std::pair("keepalive_timeout", options.keepalive_timeout)}) {
    if (time < absl::Milliseconds(1)) {
      return LocalError("INVALID_OPTION", name,
                        absl::StrCat("must be at least 1ms, got ", absl::FormatDuration(time)));
    }
  }
  if (options.tls.has_value() &&
      options.tls->certificate_pem.empty() != options.tls->private_key_pem.empty()) {
    return LocalError("INVALID_OPTION", "tls",
                      "needs certificate_pem and private_key_pem, or neither");
  }
  const absl::StatusOr<std::string> target = TargetOf(options.targets);
  if (!target.ok()) return target.status();
  const std::shared_ptr<grpc::ChannelCredentials> credentials = Credentials(options);
  const grpc::ChannelArguments arguments = Arguments(options);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < options.channels; ++i) {
    channels.push_back(grpc::CreateCustomChannel(*target, credentials, arguments));
  }
  return channels;
}

}  // namespace attend::client::internal
