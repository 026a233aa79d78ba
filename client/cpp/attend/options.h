// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_OPTIONS_H_
#define ATTEND_CLIENT_CPP_ATTEND_OPTIONS_H_

// What can be set for a client and for one of its calls.

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attend/tensor_buffer.h"

namespace grpc {
class CallCredentials;
}  // namespace grpc

namespace attend::client {

// Every call has a deadline; this one where CallOptions gives none.
inline constexpr absl::Duration kDefaultTimeout = absl::Seconds(30);

// Attention is a pure function of the request, so a repeated call does no harm.
// UNAVAILABLE is retried, and so are UNKNOWN and INTERNAL where a proxy says with
// them that the server behind it broke off its answer. RESOURCE_EXHAUSTED is
// retried only where it means load: with a pushback of the server, or where gRPC's
// stream was reset for load before the server could answer. The wait before the
// n-th retry is min(initial * multiplier^(n-1), max) times a random factor of 0.8
// to 1.2, or the server's pushback times 1 to 1.2. A negative pushback forbids the
// retry.
// A wait that does not fit before the call's deadline returns the last error at
// once.
struct RetryPolicy {
  int max_attempts = 5;  // per call, the first included; 1: never retry
  absl::Duration initial_backoff = absl::Milliseconds(50);
  absl::Duration max_backoff = absl::Seconds(2);
  double multiplier = 2;

  // The retry budget of gRFC A6, which all calls of a client share: it starts
  // with max_tokens; each attempt that fails in a way that is retried takes 1,
  // each that succeeds returns token_ratio; there are retries only while more
  // than max_tokens / 2 are left. So a client whose attempts all fail in such ways
  // makes at most max_tokens / 2 retries: by default 50, which is at most 1.1 calls
  // per request from 500 requests on. Otherwise it makes token_ratio retries per
  // success. 0 max_tokens: never retry.
  // A call's first attempt takes none where the server refuses it because it shuts
  // down (reason DRAINING): that says nothing about the load, and every call in
  // flight may meet it at once. A later attempt takes 1 for it. So a client that is
  // always refused in this way makes at most max_tokens / 2 retries, too, and one
  // more for each call that is under way when they are used up. By default a client
  // can also lose a connection with 49 calls in flight, as where a server ends, and
  // retry them all.
  double max_tokens = 100;
  double token_ratio = 0.1;
};

// Under overload a client that goes on sending keeps the server busy with
// refusals. So it holds new requests back (adaptive throttling, SRE book,
// chapter 21): it counts, over the window, the attempts that the server refused
// for load and those that it answered otherwise, and sends about
// requests_per_accept requests for each one accepted. A request that is held
// back fails at once with RESOURCE_EXHAUSTED, reason CLIENT_THROTTLED and a
// pushback. UNAVAILABLE, deadlines and cancellations are not counted.
struct ThrottlingPolicy {
  double requests_per_accept = 2;  // >= 1; the book's K
  absl::Duration window = absl::Minutes(2);
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

  // Whether the client watches the health of each address (grpc.health.v1, service "") and sends no
  // new calls to one that says NOT_SERVING, as a server of ours does from the beginning of its
  // drain. Absent: with several targets only. Set it for one name that resolves to several servers.
  // With a single server, a Kubernetes Service or a proxy, calls would fail while it drains or
  // while one server behind it does, which would otherwise be answered. Each connection then holds
  // one open call, which counts against --max-calls and --max-caller-calls. Servers without the
  // health service are called all the same.
  std::optional<bool> watch_health = {};

  // Connections to each address; calls take turns. More than 1 helps where one
  // HTTP/2 connection is the limit: many large messages at once.
  int channels = 1;

  // Larger answers fail with RESOURCE_EXHAUSTED. Requests have no limit here.
  int max_response_bytes = 1 << 30;

  // Finds a server that vanished without closing its connection. While calls are under
  // way on a connection from which nothing has come for keepalive_time, the client asks
  // for a sign of life (an HTTP/2 PING). Without one within keepalive_timeout it closes
  // the connection, which ends its calls and pipelines with UNAVAILABLE. Both at least
  // 1 ms; servers of ours close a connection that asks more often than every 10 s.
  // Infinite keepalive_time: it never asks.
  absl::Duration keepalive_time = absl::Seconds(20);
  absl::Duration keepalive_timeout = absl::Seconds(20);

  // Honour http_proxy and no_proxy of the environment.
  bool use_http_proxy = false;

  RetryPolicy retry = {};
  std::optional<ThrottlingPolicy> throttling = ThrottlingPolicy();  // absent: none
};

// Custom metadata as gRPC has it: keys of a-z, 0-9, "_", "-" and ".", values of
// printable ASCII, or of any bytes where the key ends in "-bin". A key may repeat.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// One attempt of a call that has ended, for logs. What comes from the server may hold any bytes.
struct AttemptInfo {
  int attempt = 1;     // from 1
  std::string method;  // "/attend.v1.AttentionService/MultiHeadAttention"
  std::string peer;    // as gRPC has it: the server's address, or the target if none was reached
  size_t request_bytes = 0;  // of the message
  size_t response_bytes = 0;
  absl::Status status;
  Metadata trailers;
  std::optional<absl::Duration> retry_after;  // absent: this was the last attempt
};

struct CallOptions {
  // For the whole call, its retries and waits included. Must be finite.
  absl::Duration timeout = kDefaultTimeout;

  // Memory for the tensors of the response; absent: the response allocates its own.
  ResponseBuffers buffers = {};

  // Sent with every attempt, in plain text where the connection is.
  Metadata metadata = {};

  // Call credentials, such as grpc::AccessTokenCredentials(token) for a bearer
  // token. gRPC sends them over TLS only; otherwise the call fails with
  // UNAUTHENTICATED before anything is sent.
  std::shared_ptr<grpc::CallCredentials> credentials = {};

  // Names the call in the server's log and returns with every response and error
  // (metadata x-request-id): at most 128 printable ASCII characters. Empty: the
  // server makes one.
  std::string request_id = {};

  // While no server can be reached, wait for one until the deadline instead of failing
  // with UNAVAILABLE (gRPC's wait-for-ready).
  bool wait_for_ready = false;

  // Runs after each attempt, on the thread that runs the call: the caller's, or the client's for
  // callbacks. Must not block and must not cancel the call.
  std::function<void(const AttemptInfo&)> on_attempt = {};
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_OPTIONS_H_
