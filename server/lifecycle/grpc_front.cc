// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/grpc_front.h"

#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/exec/cores.h"
#include "core/exec/memory_limit.h"
#include "server/net/listener.h"
#include "server/security/credentials.h"
#include "server/telemetry/http_endpoint.h"
#include "server/telemetry/log.h"

namespace attend {
namespace {

// Where gRPC's own bound lies above ConnectionLimits::memory_bytes: more than hostile headers make
// of what is read until the memory is looked at.
constexpr int64_t kQuotaAbove = int64_t{512} << 20;

// What gRPC itself may hold. Beyond it, gRPC ends connections and streams of anybody, so it lies
// where Connections has ended those that hold the most long before. That class does not meter Unix
// sockets; with one, gRPC's bound is all there is.
int64_t QuotaBytes(const std::vector<Listener>& listeners, const TransportConfig& config,
                   int64_t memory_bytes) {
  if (std::any_of(listeners.begin(), listeners.end(),
                  [](const Listener& listener) { return listener.is_unix(); })) {
    return config.max_receive_bytes;
  }
  return std::min(memory_bytes, std::numeric_limits<int64_t>::max() - kQuotaAbove) + kQuotaAbove;
}

void SetTransport(const TransportConfig& config, absl::Duration max_deadline, int64_t quota_bytes,
                  grpc::ServerBuilder& builder) {
  // Services check the size themselves: gRPC would do it no earlier, after
  // buffering, and the refusal would bear no reason and go uncounted.
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  grpc::ResourceQuota quota("attend");
  quota.Resize(static_cast<size_t>(quota_bytes));
  builder.SetResourceQuota(quota);
  // A small compressed message can inflate beyond every limit.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);

  const auto set = [&](const char* name, int64_t value) {
    builder.AddChannelArgument(name, static_cast<int>(value));
  };
  // What gRPC reads at once it also takes apart at once, whatever becomes of the connection. By
  // default that is up to 4 MiB, of which headers can make 600 MB.
  set(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, 256 << 10);
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, config.max_concurrent_streams);
  set(GRPC_ARG_MAX_METADATA_SIZE, kMaxHeaderBytes);
  set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, absl::ToInt64Milliseconds(config.handshake_timeout));
  set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, absl::ToInt64Milliseconds(config.max_connection_idle));
  // Bounds what never becomes a call, as a message of which no more comes.
  set(GRPC_ARG_MAX_CONNECTION_AGE_MS, absl::ToInt64Milliseconds(config.max_connection_age));
  set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, absl::ToInt64Milliseconds(max_deadline));
  // Finds callers that vanished without closing their connection within 80 s. Callers may
  // ping every 10 s; a connection that pings too often three times is closed.
  set(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  set(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
}

// Raises the limit on open files as far as is wanted and allowed. Where that is too little, some of
// it is left for files; connections to the metrics port, which may end at any time, have no share.
ConnectionLimits LimitConnections(const TransportConfig& config, int64_t memory_bytes) {
  constexpr rlim_t kOtherFiles = 100;
  constexpr rlim_t kFilesPerConnection = 2;
  // The rest is for what comes before the meters are looked at, and for gRPC itself.
  ConnectionLimits limits = {config.max_connections, config.max_caller_connections,
                             config.max_receive_bytes / 4 * 3, memory_bytes};
  const rlim_t needed =
      static_cast<rlim_t>(config.max_connections) * kFilesPerConnection + kOtherFiles;
  const rlim_t wanted = needed + HttpLimits().connections;
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted) return limits;
  files.rlim_cur = std::min(wanted, files.rlim_max);
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < needed) {
    const rlim_t left = files.rlim_cur - std::min(files.rlim_cur, kOtherFiles);
    limits.connections = std::max<int64_t>(static_cast<int64_t>(left / kFilesPerConnection), 1);
    Log(LogLevel::kWarning, "the limit on open files lowers --max-connections",
        {{"connections", absl::StrCat(limits.connections)}});
  }
  return limits;
}

int NetworkThreads(const ServerConfig& config) {
  if (config.transport.network_threads > 0) return config.transport.network_threads;
  // One thread refuses more calls than eight cores can compute, but two are needed, because gRPC
  // lets one busy connection keep a thread to itself.
  return std::clamp(UsableCores() / 4, 2, 16);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcFront>> GrpcFront::Listen(
    const ServerConfig& config, const Certificates* certificates, const Identities* identities,
    Routes routes, DeadlineTimer& timer, Metrics& metrics, std::function<bool()> overloaded,
    int64_t memory_bytes) {
  std::unique_ptr<GrpcFront> front(new GrpcFront(
      std::move(routes), {config.transport.max_calls, config.transport.max_caller_calls}));
  std::vector<Listener> listeners;
  for (const std::string& address : config.listen) {
    ATTEND_ASSIGN_OR_RETURN(std::vector<Listener> opened,
                            Listener::Open(address, config.unix_socket_mode));
    front->addresses_.push_back(opened.front().address());
    for (Listener& listener : opened) listeners.push_back(std::move(listener));
  }
  grpc::ServerBuilder builder;
  SetTransport(config.transport, config.lifecycle.max_deadline,
               QuotaBytes(listeners, config.transport, memory_bytes), builder);
  builder.RegisterAsyncGenericService(&front->service_);
  const CallBounds bounds = {
      .open_calls = &front->open_calls_,
      .find_meter = [front = front.get()](
                        absl::string_view peer) { return front->connections_->FindMeter(peer); },
      .timer = &timer,
      .max_deadline = config.lifecycle.max_deadline,
      .metrics = &metrics,
      .identities = identities,
      .public_reflection = config.public_reflection};
  for (int i = 0; i < NetworkThreads(config); ++i) {
    front->queues_.push_back(
        std::make_unique<CallQueue>(builder, front->service_, front->routes_, overloaded, bounds));
  }
  using Type = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  front->tcp_ = builder.experimental().AddExternalConnectionAcceptor(
      Type::FROM_FD, MakeServerCredentials(certificates));
  front->unix_ = builder.experimental().AddExternalConnectionAcceptor(
      Type::FROM_FD, grpc::InsecureServerCredentials());
  front->server_ = builder.BuildAndStart();
  if (front->server_ == nullptr) return absl::InternalError("gRPC cannot start its server");
  front->connections_ = std::make_unique<Connections>(
      std::move(listeners), LimitConnections(config.transport, memory_bytes),
      [front = front.get()](const Listener& listener, int fd) {
        grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
        connection.listener_fd = listener.fd();
        connection.fd = fd;
        (listener.is_unix() ? front->unix_ : front->tcp_)->HandleNewConnection(&connection);
      },
      HeldMemory);
  return front;
}

absl::Status GrpcFront::Serve() {
  for (const auto& queue : queues_) queue->Start();
  return connections_->Start();
}

void GrpcFront::Shutdown() {
  if (server_ == nullptr) return;
  // First the sockets, then gRPC: a call that reaches a server whose shutdown has
  // begun is dropped without a status, which its caller sees as CANCELLED (gRPC
  // 1.51, Server::CallData::KillZombie). The end of the connection makes it
  // UNAVAILABLE, which clients retry.
  if (connections_ != nullptr) connections_->End();
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  queues_.clear();
  server_.reset();
}

}  // namespace attend
