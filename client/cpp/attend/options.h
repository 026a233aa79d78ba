// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_OPTIONS_H_
#define ATTEND_CLIENT_CPP_ATTEND_OPTIONS_H_

// What can be set for a client and for one of its calls.

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace attend::client {

// Every call has a deadline; this one where CallOptions gives none.
inline constexpr absl::Duration kDefaultTimeout = absl::Seconds(30);

// Attention is a pure function of the request, so a repeated call does no harm.
// Retried are UNAVAILABLE, and RESOURCE_EXHAUSTED only where the server gave a
// pushback, within the call's deadline: where the wait would not fit before it,
// the last error is returned at once. The wait before the n-th retry is
// min(initial * multiplier^(n-1), max) times a random factor of 0.8 to 1.2, or
// the server's pushback times 1 to 1.2. A negative pushback means: do not retry.
struct RetryPolicy {
  int max_attempts = 5;  // calls, the first included; 1: never retry
  absl::Duration initial_backoff = absl::Milliseconds(50);
  absl::Duration max_backoff = absl::Seconds(2);
  double multiplier = 2;
};

struct TlsOptions {
  std::string root_certificates_pem = {};  // empty: the system's
  // Both or neither: the client's own certificate, for servers that ask for one.
  std::string certificate_pem = {};
  std::string private_key_pem = {};
  // The name that the server's certificate must hold; empty: the target's host.
  // Needed with several targets and with unix sockets.
  std::string server_name = {};
};

struct ClientOptions {
  // One target: anything gRPC resolves ("dns:///host:50051", "ipv4:10.0.0.1:50051",
  // "ipv6:[::1]:50051", "unix:/run/attend.sock"); without a scheme it is dns:///.
  // Calls take turns (round robin) over all addresses it resolves to, and gRPC
  // resolves a dns name again when a connection is lost.
  // Several targets: all "unix:...", or all "host:port"; calls take turns over
  // all of them. Host names among them are resolved once, in Create.
  std::vector<std::string> targets = {"localhost:50051"};

  std::optional<TlsOptions> tls = {};  // absent: plain text

  // Connections to each address; calls take turns. More than 1 helps where one
  // HTTP/2 connection is the limit: many large messages at once.
  int channels = 1;

  // Larger answers fail with RESOURCE_EXHAUSTED. Requests have no limit here.
  int max_response_bytes = 1 << 30;

  // Honour http_proxy and no_proxy of the environment.
  bool use_http_proxy = false;

  RetryPolicy retry = {};
};

struct CallOptions {
  // For the whole call, its retries and waits included. Must be finite.
  absl::Duration timeout = kDefaultTimeout;
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_OPTIONS_H_
