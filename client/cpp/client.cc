// SPDX-License-Identifier: Apache-2.0
#include "attend/client.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/channel.h"
#include "client/cpp/codec.h"
#include "client/cpp/status.h"
#include "client/cpp/transport.h"
#include "client/cpp/wire_writer.h"

namespace attend::client {
namespace {

using internal::CallResult;
using internal::CallSpec;
using internal::Prepared;
using internal::Transport;

// Bounds for what a hostile or broken server may list, page after page.
constexpr size_t kMaxLayers = 1 << 16;
constexpr size_t kMaxListBytes = 64 << 20;

absl::Status CheckRetry(const RetryPolicy& retry) {
  if (retry.max_attempts < 1 || !(retry.multiplier >= 1) ||
      retry.initial_backoff < absl::ZeroDuration() || retry.max_backoff < retry.initial_backoff) {
    return internal::LocalError("INVALID_OPTION", "retry",
                                "needs max_attempts >= 1, multiplier >= 1 and "
                                "0 <= initial_backoff <= max_backoff");
  }
  if (!(retry.max_tokens >= 0) || !std::isfinite(retry.max_tokens) || !(retry.token_ratio >= 0) ||
      !std::isfinite(retry.token_ratio)) {
    return internal::LocalError("INVALID_OPTION", "retry",
                                "needs finite max_tokens >= 0 and token_ratio >= 0");
  }
  return absl::OkStatus();
}

absl::Status CheckThrottling(const std::optional<ThrottlingPolicy>& throttling) {
  if (!throttling.has_value()) return absl::OkStatus();
  if (!(throttling->requests_per_accept >= 1) || throttling->window < absl::Milliseconds(1) ||
      throttling->window == absl::InfiniteDuration()) {
    return internal::LocalError("INVALID_OPTION", "throttling",
                                "needs requests_per_accept >= 1 and a finite window of 1 ms "
                                "or more");
  }
  return absl::OkStatus();
}

// The error of a request that is not sent because the server refused most of
// the last ones for load.
absl::Status Throttled(const RetryPolicy& retry) {
  ErrorDetails details;
  details.reason = "CLIENT_THROTTLED";
  details.domain = "attend";
  details.pushback = retry.max_backoff;
  return internal::WithDetails(absl::StatusCode::kResourceExhausted,
                               "the client did not send the request, because the server refuses "
                               "most requests for its load; try again later",
                               details);
}

absl::StatusOr<CallSpec> MakeSpec(Transport& transport, const char* method,
                                  const grpc::ByteBuffer& request, const CallOptions& options) {
  if (options.timeout == absl::InfiniteDuration()) {
    return internal::LocalError("INVALID_OPTION", "timeout", "must be finite");
  }
  return CallSpec{method, request, transport.pacer().Now() + options.timeout, transport.retry()};
}

// MakeSpec for a call that the throttle may hold back.
absl::StatusOr<CallSpec> Admit(Transport& transport, const char* method,
                               const grpc::ByteBuffer& request, const CallOptions& options) {
  absl::StatusOr<CallSpec> spec = MakeSpec(transport, method, request, options);
  if (spec.ok() && !transport.load().Admit()) return Throttled(transport.retry());
  return spec;
}

absl::StatusOr<AttentionResponse> ToAttention(CallResult result,
                                              const internal::ResponseFields& fields,
                                              const ResponseBuffers& buffers) {
  if (!result.status.ok()) return std::move(result.status);
  absl::StatusOr<AttentionResponse> decoded = internal::Decode(result.response, fields, buffers);
  if (decoded.ok()) decoded->attempts = result.attempts;
  return decoded;
}

// A call whose messages are small: by the generated classes.
absl::Status CallMessage(Transport& transport, const char* method,
                         const google::protobuf::MessageLite& request, const CallOptions& options,
                         google::protobuf::MessageLite& response) {
  absl::StatusOr<CallSpec> spec =
      Admit(transport, method, internal::EncodeMessage(request), options);
  if (!spec.ok()) return spec.status();
  CallResult result = transport.Run(*std::move(spec));
  if (!result.status.ok()) return std::move(result.status);
  return internal::DecodeMessage(result.response, response);
}

template <typename Request>
absl::StatusOr<std::shared_ptr<const Prepared>> PrepareShared(const Request& request) {
  absl::StatusOr<Prepared> prepared = internal::Encode(request);
  if (!prepared.ok()) return prepared.status();
  return std::make_shared<const Prepared>(*std::move(prepared));
}

}  // namespace

size_t PreparedRequest::size_bytes() const {
  return prepared_ == nullptr ? 0 : prepared_->message.Length();
}

void PendingCall::Cancel() {
  if (const std::shared_ptr<internal::Call> call = call_.lock()) call->Cancel();
}

absl::StatusOr<std::unique_ptr<Client>> Client::Create(const ClientOptions& options) {
  if (absl::Status s = CheckRetry(options.retry); !s.ok()) return s;
  if (absl::Status s = CheckThrottling(options.throttling); !s.ok()) return s;
  auto channels = internal::CreateChannels(options);
  if (!channels.ok()) return channels.status();
  return std::unique_ptr<Client>(new Client(std::make_unique<Transport>(
      *std::move(channels), options.retry, options.throttling, internal::Pacer::Real())));
}

Client::Client(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {}
Client::~Client() = default;

absl::StatusOr<PreparedRequest> Client::Prepare(const MultiHeadAttentionRequest& request) {
  auto prepared = PrepareShared(request);
  if (!prepared.ok()) return prepared.status();
  PreparedRequest result;
  result.prepared_ = *std::move(prepared);
  return result;
}

absl::StatusOr<PreparedRequest> Client::Prepare(const ScaledDotProductAttentionRequest& request) {
  auto prepared = PrepareShared(request);
  if (!prepared.ok()) return prepared.status();
  PreparedRequest result;
  result.prepared_ = *std::move(prepared);
  return result;
}

absl::StatusOr<AttentionResponse> Client::Call(const MultiHeadAttentionRequest& request,
                                               const CallOptions& options) {
  absl::StatusOr<PreparedRequest> prepared = Prepare(request);
  if (!prepared.ok()) return prepared.status();
  return Call(*prepared, options);
}

absl::StatusOr<AttentionResponse> Client::Call(const ScaledDotProductAttentionRequest& request,
                                               const CallOptions& options) {
  absl::StatusOr<PreparedRequest> prepared = Prepare(request);
  if (!prepared.ok()) return prepared.status();
  return Call(*prepared, options);
}

absl::StatusOr<AttentionResponse> Client::Call(const PreparedRequest& request,
                                               const CallOptions& options) {
  if (request.prepared_ == nullptr) {
    return internal::LocalError("NOT_PREPARED", "request", "is empty");
  }
  const Prepared& prepared = *request.prepared_;
  absl::StatusOr<CallSpec> spec = Admit(*transport_, prepared.method, prepared.message, options);
  if (!spec.ok()) return spec.status();
  return ToAttention(transport_->Run(*std::move(spec)), prepared.response, options.buffers);
}

absl::StatusOr<PendingCall> Client::Start(const MultiHeadAttentionRequest& request,
                                          const CallOptions& options, Callback done) {
  absl::StatusOr<PreparedRequest> prepared = Prepare(request);
  if (!prepared.ok()) return prepared.status();
  return Start(*prepared, options, std::move(done));
}

absl::StatusOr<PendingCall> Client::Start(const ScaledDotProductAttentionRequest& request,
                                          const CallOptions& options, Callback done) {
  absl::StatusOr<PreparedRequest> prepared = Prepare(request);
  if (!prepared.ok()) return prepared.status();
  return Start(*prepared, options, std::move(done));
}

absl::StatusOr<PendingCall> Client::Start(const PreparedRequest& request,
                                          const CallOptions& options, Callback done) {
  if (request.prepared_ == nullptr) {
    return internal::LocalError("NOT_PREPARED", "request", "is empty");
  }
  const Prepared& prepared = *request.prepared_;
  absl::StatusOr<CallSpec> spec = Admit(*transport_, prepared.method, prepared.message, options);
  if (!spec.ok()) return spec.status();
  PendingCall pending;
  pending.call_ =
      transport_->Start(*std::move(spec), [done = std::move(done), fields = prepared.response,
                                           buffers = options.buffers](CallResult result) mutable {
        std::move(done)(ToAttention(std::move(result), fields, buffers));
      });
  return pending;
}

absl::StatusOr<std::vector<v1::LayerInfo>> Client::ListLayers(const CallOptions& options) {
  const absl::Duration deadline = transport_->pacer().Now() + options.timeout;
  CallOptions left = options;
  std::vector<v1::LayerInfo> layers;
  v1::ListLayersRequest request;
  size_t bytes = 0;
  do {
    v1::ListLayersResponse page;
    absl::Status status =
        CallMessage(*transport_, "/attend.v1.LayerService/ListLayers", request, left, page);
    if (!status.ok()) return status;
    bytes += page.ByteSizeLong();
    if (layers.size() + static_cast<size_t>(page.layers_size()) > kMaxLayers ||
        bytes > kMaxListBytes) {
      return absl::ResourceExhaustedError("the server lists more layers than the client accepts");
    }
    for (v1::LayerInfo& layer : *page.mutable_layers()) layers.push_back(std::move(layer));
    request.set_page_token(page.next_page_token());
    if (options.timeout != absl::InfiniteDuration()) {
      left.timeout = deadline - transport_->pacer().Now();
    }
  } while (!request.page_token().empty());
  return layers;
}

absl::StatusOr<v1::LayerInfo> Client::GetLayer(absl::string_view name, const CallOptions& options) {
  v1::GetLayerRequest request;
  request.set_name(std::string(name));
  v1::LayerInfo layer;
  absl::Status status =
      CallMessage(*transport_, "/attend.v1.LayerService/GetLayer", request, options, layer);
  if (!status.ok()) return status;
  return layer;
}

absl::StatusOr<v1::ServerInfo> Client::GetServerInfo(const CallOptions& options) {
  v1::ServerInfo info;
  absl::Status status = CallMessage(*transport_, "/attend.v1.ServerService/GetServerInfo",
                                    v1::GetServerInfoRequest(), options, info);
  if (!status.ok()) return status;
  return info;
}

absl::StatusOr<HealthStatus> Client::CheckHealth(absl::string_view service,
                                                 const CallOptions& options) {
  // HealthCheckRequest { string service = 1; }
  internal::WireWriter request;
  request.String(1, service);
  absl::StatusOr<CallSpec> spec =
      MakeSpec(*transport_, "/grpc.health.v1.Health/Check", request.ToByteBuffer(), options);
  if (!spec.ok()) return spec.status();
  spec->is_probe = true;
  CallResult result = transport_->Run(*std::move(spec));
  if (absl::IsNotFound(result.status)) return HealthStatus::kServiceUnknown;
  if (!result.status.ok()) return std::move(result.status);
  return internal::DecodeHealth(result.response);
}

}  // namespace attend::client
