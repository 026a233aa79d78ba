// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_CLIENT_H_
#define ATTEND_CLIENT_CPP_ATTEND_CLIENT_H_

// The client of an attend server: blocking and asynchronous calls, retries,
// deadlines, load spread over replicas.
//
//   auto client = attend::client::Client::Create({.targets = {"dns:///attend:50051"}});
//   attend::client::MultiHeadAttentionRequest request;
//   request.layer = "minilm/0";
//   request.query = {tokens, {1, 16, 384}};  // std::vector<float> tokens
//   auto result = (*client)->Call(request);

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attend/attention.h"
#include "attend/error.h"
#include "attend/health.h"
#include "attend/options.h"
#include "attend/v1/layer.pb.h"
#include "attend/v1/server.pb.h"

namespace attend::client {

namespace internal {
class Call;
class Transport;
struct Prepared;
}  // namespace internal

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

// Thread-safe. Errors of every call: the server's, with GetErrorDetails;
// INVALID_ARGUMENT before sending where a tensor does not fit its shape;
// RESOURCE_EXHAUSTED before sending, reason CLIENT_THROTTLED, where the server
// refuses most requests (ThrottlingPolicy); DATA_LOSS where the response cannot
// be decoded.
class Client {
 public:
  // Runs on the client's one thread for callbacks: must not block, must not
  // destroy the client; may start calls.
  using Callback = absl::AnyInvocable<void(absl::StatusOr<AttentionResponse>) &&>;

  // Does not connect (the first call does) and blocks only to resolve host
  // names among several targets. INVALID_ARGUMENT: an option is wrong.
  // UNAVAILABLE: a name does not resolve.
  static absl::StatusOr<std::unique_ptr<Client>> Create(const ClientOptions& options = {});

  // Cancels what is running and waits until every callback has returned.
  ~Client();

  // Blocks until the answer, the deadline or an error. Works on the calling
  // thread only, which is the fastest way for one call at a time.
  absl::StatusOr<AttentionResponse> Call(const MultiHeadAttentionRequest& request,
                                         const CallOptions& options = {});
  absl::StatusOr<AttentionResponse> Call(const ScaledDotProductAttentionRequest& request,
                                         const CallOptions& options = {});
  absl::StatusOr<AttentionResponse> Call(const PreparedRequest& request,
                                         const CallOptions& options = {});

  // Never blocks. OK: `done` runs exactly once, possibly before this returns.
  // Else it never runs.
  absl::StatusOr<PendingCall> Start(const MultiHeadAttentionRequest& request,
                                    const CallOptions& options, Callback done);
  absl::StatusOr<PendingCall> Start(const ScaledDotProductAttentionRequest& request,
                                    const CallOptions& options, Callback done);
  absl::StatusOr<PendingCall> Start(const PreparedRequest& request, const CallOptions& options,
                                    Callback done);

  // Copies the tensors that have no owner; the client is not needed for it.
  static absl::StatusOr<PreparedRequest> Prepare(const MultiHeadAttentionRequest& request);
  static absl::StatusOr<PreparedRequest> Prepare(const ScaledDotProductAttentionRequest& request);

  // All layers, in order of name (reads every page; one deadline for all).
  absl::StatusOr<std::vector<v1::LayerInfo>> ListLayers(const CallOptions& options = {});
  absl::StatusOr<v1::LayerInfo> GetLayer(absl::string_view name, const CallOptions& options = {});
  absl::StatusOr<v1::ServerInfo> GetServerInfo(const CallOptions& options = {});

  // grpc.health.v1 of a service, "" = the whole server. A service that the
  // server does not know is kServiceUnknown, not an error. Never retried and
  // never held back.
  absl::StatusOr<HealthStatus> CheckHealth(absl::string_view service = "",
                                           const CallOptions& options = {});

 private:
  friend class ClientTestPeer;
  explicit Client(std::unique_ptr<internal::Transport> transport);

  std::unique_ptr<internal::Transport> transport_;
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_CLIENT_H_
