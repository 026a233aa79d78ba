#ifndef ATTEND_CLIENT_CPP_ATTEND_CLIENT_H_
#define ATTEND_CLIENT_CPP_ATTEND_CLIENT_H_

// The client of an attend server: blocking and asynchronous calls, retries,
// deadlines, load spread over replicas.
//
//   auto client = attend::client::Client::Create({.targets = {"dns:///attend:50051"}});
//   attend::client::MultiHeadRequest request;
//   request.layer = "minilm/0";
//   request.query = {tokens, {1, 16, 384}};  // std::vector<float> tokens
//   auto result = (*client)->Call(request);

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "attend/attention.h"
#include "attend/error.h"
#include "attend/v1/layer.pb.h"
#include "attend/v1/server.pb.h"

namespace attend::client {

namespace internal {
class Call;
class Transport;
struct Prepared;
}  // namespace internal

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

// A request in its wire form, to be sent any number of times, also by several
// threads at once. Cheap to copy.
class PreparedRequest {
 public:
  size_t size_bytes() const;

 private:
  friend class Client;
  std::shared_ptr<const internal::Prepared> prepared_;
};

// A running asynchronous call. Copies are the same call. Dropping it does not
// cancel. Thread-safe.
class PendingCall {
 public:
  PendingCall() = default;

  // Ends the call soon with CANCELLED, unless it has ended already. The callback
  // still runs, on the client's thread, never inside Cancel.
  void Cancel();

 private:
  friend class Client;
  std::weak_ptr<internal::Call> call_;
};

enum class HealthStatus { kUnknown = 0, kServing = 1, kNotServing = 2, kServiceUnknown = 3 };

// Thread-safe. Errors of every call: the server's, with GetErrorDetails;
// INVALID_ARGUMENT before sending where a tensor does not fit its shape;
// DATA_LOSS where the answer cannot be decoded.
class Client {
 public:
  // Runs on the client's one thread for callbacks: must not block, must not
  // destroy the client; may start calls.
  using Callback = absl::AnyInvocable<void(absl::StatusOr<AttentionResult>) &&>;

  // Does not connect (the first call does) and blocks only to resolve host
  // names among several targets. INVALID_ARGUMENT: an option is wrong.
  // UNAVAILABLE: a name does not resolve.
  static absl::StatusOr<std::unique_ptr<Client>> Create(const ClientOptions& options = {});

  // Cancels what is running and waits until every callback has returned.
  ~Client();

  // Blocks until the answer, the deadline or an error. Works on the calling
  // thread only, which is the fastest way for one call at a time.
  absl::StatusOr<AttentionResult> Call(const MultiHeadRequest& request,
                                       const CallOptions& options = {});
  absl::StatusOr<AttentionResult> Call(const OperatorRequest& request,
                                       const CallOptions& options = {});
  absl::StatusOr<AttentionResult> Call(const PreparedRequest& request,
                                       const CallOptions& options = {});

  // Never blocks. OK: `done` runs exactly once, possibly before this returns.
  // Else it never runs.
  absl::StatusOr<PendingCall> Start(const MultiHeadRequest& request, const CallOptions& options,
                                    Callback done);
  absl::StatusOr<PendingCall> Start(const OperatorRequest& request, const CallOptions& options,
                                    Callback done);
  absl::StatusOr<PendingCall> Start(const PreparedRequest& request, const CallOptions& options,
                                    Callback done);

  // Copies the tensors that have no owner; the client is not needed for it.
  static absl::StatusOr<PreparedRequest> Prepare(const MultiHeadRequest& request);
  static absl::StatusOr<PreparedRequest> Prepare(const OperatorRequest& request);

  // All layers, in order of name (reads every page; one deadline for all).
  absl::StatusOr<std::vector<v1::LayerInfo>> ListLayers(const CallOptions& options = {});
  absl::StatusOr<v1::LayerInfo> GetLayer(absl::string_view name, const CallOptions& options = {});
  absl::StatusOr<v1::ServerInfo> GetServerInfo(const CallOptions& options = {});

  // grpc.health.v1 of a service, "" = the whole server. A service that the
  // server does not know is kServiceUnknown, not an error. Never retried.
  absl::StatusOr<HealthStatus> CheckHealth(absl::string_view service = "",
                                           const CallOptions& options = {});

 private:
  friend class ClientTestPeer;
  explicit Client(std::unique_ptr<internal::Transport> transport);

  std::unique_ptr<internal::Transport> transport_;
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_CLIENT_H_
