// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/grpc_front.h"

#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/exec/cores.h"
#include "server/net/address.h"
#include "server/security/credentials.h"

namespace attend {
namespace {

void SetTransport(const TransportConfig& config, absl::Duration max_deadline,
                  grpc::ServerBuilder& builder) {
  // Services check the size themselves: gRPC would do it no earlier, after
  // buffering, and the refusal would bear no reason and go uncounted.
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  grpc::ResourceQuota quota("attend");
  quota.Resize(static_cast<size_t>(config.max_receive_bytes));
  builder.SetResourceQuota(quota);
  // A small compressed message can inflate beyond every limit.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);

  const auto set = [&](const char* name, int64_t value) {
    builder.AddChannelArgument(name, static_cast<int>(value));
  };
  // On by default: a second server on the port would start silently.
  set(GRPC_ARG_ALLOW_REUSEPORT, 0);
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, config.max_concurrent_streams);
  // Bounds what never becomes a call, as a message of which no more comes.
  set(GRPC_ARG_MAX_CONNECTION_AGE_MS, absl::ToInt64Milliseconds(config.max_connection_age));
  set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, absl::ToInt64Milliseconds(max_deadline));
  // Finds callers that are gone without a word within 80 s; lets callers ask as
  // often as every 10 s.
  set(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
}

absl::Status ListenError(const std::string& address) {
  const auto refuse = [&](absl::string_view reason) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", reason));
  };
  if (!UnixPath(address).empty()) return refuse("the socket cannot be made at that path");
  const absl::StatusOr<HostPort> target = ParseHostPort(address);
  return target.ok() ? refuse(BindError(*target)) : target.status();
}

int NetworkThreads(const ServerConfig& config) {
  if (config.transport.network_threads > 0) return config.transport.network_threads;
  // One thread refuses more calls than eight cores can compute, but two are needed, because gRPC
  // lets one busy connection keep a thread to itself.
  return std::clamp(UsableCores() / 4, 2, 16);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcFront>> GrpcFront::Start(const ServerConfig& config,
                                                            Routes routes,
                                                            std::function<bool()> overloaded) {
  ATTEND_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> credentials,
                          MakeServerCredentials(config.tls));
  grpc::ServerBuilder builder;
  SetTransport(config.transport, config.lifecycle.max_deadline, builder);
  std::unique_ptr<GrpcFront> front(new GrpcFront(std::move(routes)));
  builder.RegisterAsyncGenericService(&front->service_);
  for (int i = 0; i < NetworkThreads(config); ++i) {
    front->queues_.push_back(
        std::make_unique<CallQueue>(builder, front->service_, front->routes_, overloaded));
  }
  std::vector<int> ports(config.listen.size(), 0);
  for (size_t i = 0; i < config.listen.size(); ++i) {
    const std::string& address = config.listen[i];
    const absl::string_view path = UnixPath(address);
    if (!path.empty() && UnixSocketInUse(path)) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", address, ": another process does"));
    }
    builder.AddListeningPort(
        address, path.empty() ? credentials : grpc::InsecureServerCredentials(), &ports[i]);
  }
  front->server_ = builder.BuildAndStart();
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string& address = config.listen[i];
    // gRPC stops at the first address that it cannot have.
    if (ports[i] == 0) return ListenError(address);
    front->addresses_.push_back(UnixPath(address).empty()
                                    ? absl::StrCat(ParseHostPort(address)->host, ":", ports[i])
                                    : address);
  }
  if (front->server_ == nullptr) return absl::InternalError("gRPC cannot start its server");
  for (const auto& queue : front->queues_) queue->Start();
  return front;
}

void GrpcFront::Shutdown() {
  if (server_ == nullptr) return;
  // First the sockets, then gRPC: a call that reaches a server whose shutdown has
  // begun is dropped without a status, which its caller sees as CANCELLED (gRPC
  // 1.51, Server::CallData::KillZombie). The end of the connection makes it
  // UNAVAILABLE, which clients retry.
  // gRPC would log that taking connections fails now.
  gpr_set_log_function([](gpr_log_func_args*) {});
  EndConnections(addresses_);
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  queues_.clear();
  gpr_set_log_function(nullptr);  // as it was
  server_.reset();
}

}  // namespace attend
