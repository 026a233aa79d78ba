// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_CLIENT_H_
#define ATTEND_CLIENT_CPP_ATTEND_CLIENT_H_

// The client of an attend server: blocking calls, callbacks and futures, with
// retries, deadlines and load spread over replicas.
//
//   auto client = attend::client::Client::Create({.targets = {"dns:///attend:50051"}});
//   attend::client::MultiHeadAttentionRequest request;
//   request.layer = "minilm/0";
//   request.query = {tokens, {1, 16, 384}};  // std::vector<float> tokens
//   auto response = (*client)->Call(request);

#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attend/attention.h"
#include "attend/error.h"
#include "attend/health.h"
#include "attend/options.h"
#include "attend/pending_call.h"
#include "attend/pipeline.h"
#include "attend/prepared_request.h"
#include "attend/v1/layer.pb.h"
#include "attend/v1/server.pb.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace attend::client {

// Abstract, so that users can test their own code (attend/mock_client.h).
// Thread-safe. Errors of every call: the server's, with GetErrorDetails;
// INVALID_ARGUMENT before sending where a tensor does not fit its shape or an
// option is wrong; RESOURCE_EXHAUSTED before sending, reason CLIENT_THROTTLED,
// where the server refuses most requests (ThrottlingPolicy); DATA_LOSS where the
// response cannot be decoded.
class Client {
 public:
  // Runs on the client's one thread for callbacks.
  using Callback = ResponseCallback;

  // Does not connect (the first call does) and blocks only to resolve host
  // names among several targets. INVALID_ARGUMENT: an option is wrong.
  // UNAVAILABLE: a name does not resolve.
  static absl::StatusOr<std::unique_ptr<Client>> Create(const ClientOptions& options = {});

  // Over a channel of the user's, which is shared. What ClientOptions says about
  // connections is the channel's to say: it should not retry by itself
  // (GRPC_ARG_ENABLE_RETRIES 0), and its limit for responses, in gRPC 4 MiB by
  // default, must suit the layers. INVALID_ARGUMENT: an argument is wrong.
  static absl::StatusOr<std::unique_ptr<Client>> Create(
      std::shared_ptr<grpc::Channel> channel, const RetryPolicy& retry = {},
      const std::optional<ThrottlingPolicy>& throttling = ThrottlingPolicy());

  // Cancels what is running and waits until every callback has returned.
  virtual ~Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Blocks until the response, the deadline or an error. Works on the calling
  // thread only, which is the fastest way for one call at a time.
  virtual absl::StatusOr<AttentionResponse> Call(const MultiHeadAttentionRequest& request,
                                                 const CallOptions& options = {}) = 0;
  virtual absl::StatusOr<AttentionResponse> Call(const ScaledDotProductAttentionRequest& request,
                                                 const CallOptions& options = {}) = 0;
  virtual absl::StatusOr<AttentionResponse> Call(const PreparedRequest& request,
                                                 const CallOptions& options = {}) = 0;

  // Never blocks. OK: `done` runs exactly once, possibly before this returns.
  // Else it never runs.
  virtual absl::StatusOr<PendingCall> Start(const MultiHeadAttentionRequest& request,
                                            const CallOptions& options, Callback done) = 0;
  virtual absl::StatusOr<PendingCall> Start(const ScaledDotProductAttentionRequest& request,
                                            const CallOptions& options, Callback done) = 0;
  virtual absl::StatusOr<PendingCall> Start(const PreparedRequest& request,
                                            const CallOptions& options, Callback done) = 0;

  // Never blocks; the future receives every error. Its destructor does not wait.
  template <typename Request>
  std::future<absl::StatusOr<AttentionResponse>> AsyncCall(const Request& request,
                                                           const CallOptions& options = {}) {
    return internal::StartWithFuture(
        [&](Callback done) { return Start(request, options, std::move(done)); });
  }

  // Opens a stream for many requests in flight; they connect it, this does not
  // block. INVALID_ARGUMENT: an option is wrong.
  virtual absl::StatusOr<std::unique_ptr<Pipeline>> OpenPipeline(
      const PipelineOptions& options = {}) = 0;

  // These return the contract's own messages: they have every field that a server tells,
  // each with its comment in the .proto file, and print as text or JSON. Structs of the
  // client's would repeat sixty fields and lack those of newer servers. The price is
  // that a program uses the protobuf with which this library was built, as it does gRPC.

  // All layers, in order of name (reads every page; one deadline for all).
  // RESOURCE_EXHAUSTED: the server lists more than any server of ours can hold.
  virtual absl::StatusOr<std::vector<v1::LayerInfo>> ListLayers(
      const CallOptions& options = {}) = 0;
  virtual absl::StatusOr<v1::LayerInfo> GetLayer(absl::string_view name,
                                                 const CallOptions& options = {}) = 0;
  virtual absl::StatusOr<v1::ServerInfo> GetServerInfo(const CallOptions& options = {}) = 0;

  // grpc.health.v1 of a service, "" = the whole server. A service that the
  // server does not know is kServiceUnknown, not an error. Never retried and
  // never held back.
  virtual absl::StatusOr<HealthStatus> CheckHealth(absl::string_view service = "",
                                                   const CallOptions& options = {}) = 0;

 protected:
  Client() = default;
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_CLIENT_H_
