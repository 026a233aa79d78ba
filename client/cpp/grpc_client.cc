// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/grpc_client.h"

#include <utility>

#include "client/cpp/channel.h"
#include "client/cpp/codec.h"
#include "client/cpp/grpc_pipeline.h"
#include "client/cpp/status.h"
#include "client/cpp/wire_writer.h"

namespace attend::client {
namespace internal {
namespace {

// Bounds for what a hostile or broken server may list, page after page.
constexpr size_t kMaxLayers = 1 << 16;
constexpr size_t kMaxListBytes = 64 << 20;

// grpc.health.v1.HealthCheckRequest.
constexpr int kHealthServiceFieldNumber = 1;

absl::StatusOr<AttentionResponse> ToResponse(CallResult result, const ResponseFields& fields,
                                             const ResponseBuffers& buffers) {
  if (!result.status.ok()) return std::move(result.status);
  absl::StatusOr<AttentionResponse> response = Decode(result.response, fields, buffers);
  if (!response.ok()) return response;
  response->attempts = result.attempts;
  response->request_id = std::move(result.request_id);
  return response;
}

}  // namespace

GrpcClient::GrpcClient(std::vector<std::shared_ptr<grpc::Channel>> channels,
                       const RetryPolicy& retry, const std::optional<ThrottlingPolicy>& throttling,
                       Pacer& pacer)
    : retry_(retry),
      pacer_(pacer),
      load_(std::make_shared<LoadControl>(retry, throttling, pacer)),
      channels_(std::move(channels)),
      transport_(channels_, pacer, *load_) {}

absl::StatusOr<CallSpec> GrpcClient::MakeSpec(const char* method, const grpc::ByteBuffer& request,
                                              const CallOptions& options) {
  return MakeCallSpec(method, request, retry_, options, pacer_.Now());
}

absl::StatusOr<CallSpec> GrpcClient::Admit(const char* method, const grpc::ByteBuffer& request,
                                           const CallOptions& options) {
  absl::StatusOr<CallSpec> spec = MakeSpec(method, request, options);
  if (spec.ok() && !load_->Admit()) return ThrottledError(retry_.max_backoff);
  return spec;
}

absl::StatusOr<CallSpec> GrpcClient::Admit(const PreparedRequest& request,
                                           const CallOptions& options) {
  if (request.prepared_ == nullptr) return LocalError("NOT_PREPARED", "request", "is empty");
  return Admit(request.prepared_->method, request.prepared_->message, options);
}

absl::StatusOr<AttentionResponse> GrpcClient::Call(const MultiHeadAttentionRequest& request,
                                                   const CallOptions& options) {
  absl::StatusOr<PreparedRequest> prepared = PreparedRequest::Create(request);
  if (!prepared.ok()) return prepared.status();
  return Call(*prepared, options);
}

absl::StatusOr<AttentionResponse> GrpcClient::Call(const ScaledDotProductAttentionRequest& request,
                                                   const CallOptions& options) {
  absl::StatusOr<PreparedRequest> prepared = PreparedRequest::Create(request);
  if (!prepared.ok()) return prepared.status();
  return Call(*prepared, options);
}

absl::StatusOr<AttentionResponse> GrpcClient::Call(const PreparedRequest& request,
                                                   const CallOptions& options) {
  absl::StatusOr<CallSpec> spec = Admit(request, options);
  if (!spec.ok()) return spec.status();
  return ToResponse(transport_.Run(*std::move(spec)), request.prepared_->response, options.buffers);
}

absl::StatusOr<PendingCall> GrpcClient::Start(const MultiHeadAttentionRequest& request,
                                              const CallOptions& options, Callback done) {
  absl::StatusOr<PreparedRequest> prepared = PreparedRequest::Create(request);
  if (!prepared.ok()) return prepared.status();
  return Start(*prepared, options, std::move(done));
}

absl::StatusOr<PendingCall> GrpcClient::Start(const ScaledDotProductAttentionRequest& request,
                                              const CallOptions& options, Callback done) {
  absl::StatusOr<PreparedRequest> prepared = PreparedRequest::Create(request);
  if (!prepared.ok()) return prepared.status();
  return Start(*prepared, options, std::move(done));
}

absl::StatusOr<PendingCall> GrpcClient::Start(const PreparedRequest& request,
                                              const CallOptions& options, Callback done) {
  absl::StatusOr<CallSpec> spec = Admit(request, options);
  if (!spec.ok()) return spec.status();
  const std::weak_ptr<internal::Call> running = transport_.Start(
      *std::move(spec), [done = std::move(done), fields = request.prepared_->response,
                         buffers = options.buffers](CallResult result) mutable {
        std::move(done)(ToResponse(std::move(result), fields, buffers));
      });
  return PendingCall([running] {
    if (const std::shared_ptr<internal::Call> call = running.lock()) call->Cancel();
  });
}

absl::StatusOr<std::unique_ptr<Pipeline>> GrpcClient::OpenPipeline(const PipelineOptions& options) {
  const size_t turn = pipelines_.fetch_add(1, std::memory_order_relaxed) % channels_.size();
  return GrpcPipeline::Open(channels_[turn], options, {retry_, load_, pacer_});
}

absl::Status GrpcClient::CallMessage(const char* method,
                                     const google::protobuf::MessageLite& request,
                                     const CallOptions& options,
                                     google::protobuf::MessageLite& response) {
  absl::StatusOr<CallSpec> spec = Admit(method, EncodeMessage(request), options);
  if (!spec.ok()) return spec.status();
  CallResult result = transport_.Run(*std::move(spec));
  if (!result.status.ok()) return std::move(result.status);
  return DecodeMessage(result.response, response);
}

absl::StatusOr<std::vector<v1::LayerInfo>> GrpcClient::ListLayers(const CallOptions& options) {
  const absl::Duration deadline = pacer_.Now() + options.timeout;
  CallOptions left = options;
  std::vector<v1::LayerInfo> layers;
  v1::ListLayersRequest request;
  size_t bytes = 0;
  do {
    v1::ListLayersResponse page;
    absl::Status status = CallMessage("/attend.v1.LayerService/ListLayers", request, left, page);
    if (!status.ok()) return status;
    bytes += page.ByteSizeLong();
    if (layers.size() + static_cast<size_t>(page.layers_size()) > kMaxLayers ||
        bytes > kMaxListBytes) {
      return absl::ResourceExhaustedError("the server lists more layers than the client accepts");
    }
    for (v1::LayerInfo& layer : *page.mutable_layers()) layers.push_back(std::move(layer));
    request.set_page_token(page.next_page_token());
    left.timeout = deadline - pacer_.Now();
  } while (!request.page_token().empty());
  return layers;
}

absl::StatusOr<v1::LayerInfo> GrpcClient::GetLayer(absl::string_view name,
                                                   const CallOptions& options) {
  v1::GetLayerRequest request;
  request.set_name(std::string(name));
  v1::LayerInfo layer;
  absl::Status status = CallMessage("/attend.v1.LayerService/GetLayer", request, options, layer);
  if (!status.ok()) return status;
  return layer;
}

absl::StatusOr<v1::ServerInfo> GrpcClient::GetServerInfo(const CallOptions& options) {
  v1::ServerInfo info;
  absl::Status status = CallMessage("/attend.v1.ServerService/GetServerInfo",
                                    v1::GetServerInfoRequest(), options, info);
  if (!status.ok()) return status;
  return info;
}

absl::StatusOr<HealthStatus> GrpcClient::CheckHealth(absl::string_view service,
                                                     const CallOptions& options) {
  WireWriter request;
  request.String(kHealthServiceFieldNumber, service);
  absl::StatusOr<CallSpec> spec =
      MakeSpec("/grpc.health.v1.Health/Check", request.ToByteBuffer(), options);
  if (!spec.ok()) return spec.status();
  spec->is_probe = true;
  CallResult result = transport_.Run(*std::move(spec));
  if (absl::IsNotFound(result.status)) return HealthStatus::kServiceUnknown;
  if (!result.status.ok()) return std::move(result.status);
  return DecodeHealth(result.response);
}

}  // namespace internal

absl::StatusOr<std::unique_ptr<Client>> Client::Create(const ClientOptions& options) {
  if (absl::Status s = internal::LoadControl::Validate(options.retry, options.throttling);
      !s.ok()) {
    return s;
  }
  auto channels = internal::CreateChannels(options);
  if (!channels.ok()) return channels.status();
  return std::make_unique<internal::GrpcClient>(*std::move(channels), options.retry,
                                                options.throttling);
}

absl::StatusOr<std::unique_ptr<Client>> Client::Create(
    std::shared_ptr<grpc::Channel> channel, const RetryPolicy& retry,
    const std::optional<ThrottlingPolicy>& throttling) {
  if (channel == nullptr) return internal::LocalError("INVALID_OPTION", "channel", "is null");
  if (absl::Status s = internal::LoadControl::Validate(retry, throttling); !s.ok()) return s;
  return std::make_unique<internal::GrpcClient>(
      std::vector<std::shared_ptr<grpc::Channel>>{std::move(channel)}, retry, throttling);
}

}  // namespace attend::client
