// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_GRPC_CLIENT_H_
#define ATTEND_CLIENT_CPP_GRPC_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "attend/client.h"
#include "client/cpp/call_spec.h"
#include "client/cpp/load_control.h"
#include "client/cpp/pacer.h"
#include "client/cpp/transport.h"
#include "google/protobuf/message_lite.h"
#include "grpcpp/channel.h"

namespace attend::client::internal {

// The client over gRPC channels: encodes, asks the load control, lets the
// transport run the call, decodes.
class GrpcClient final : public Client {
 public:
  // The policies must be valid (LoadControl::Validate). `pacer` must outlive the
  // client.
  GrpcClient(std::vector<std::shared_ptr<grpc::Channel>> channels, const RetryPolicy& retry,
             const std::optional<ThrottlingPolicy>& throttling, Pacer& pacer = Pacer::Real());

  absl::StatusOr<AttentionResponse> Call(const MultiHeadAttentionRequest& request,
                                         const CallOptions& options) override;
  absl::StatusOr<AttentionResponse> Call(const ScaledDotProductAttentionRequest& request,
                                         const CallOptions& options) override;
  absl::StatusOr<AttentionResponse> Call(const PreparedRequest& request,
                                         const CallOptions& options) override;

  absl::StatusOr<PendingCall> Start(const MultiHeadAttentionRequest& request,
                                    const CallOptions& options, Callback done) override;
  absl::StatusOr<PendingCall> Start(const ScaledDotProductAttentionRequest& request,
                                    const CallOptions& options, Callback done) override;
  absl::StatusOr<PendingCall> Start(const PreparedRequest& request, const CallOptions& options,
                                    Callback done) override;

  absl::StatusOr<std::unique_ptr<Pipeline>> OpenPipeline(const PipelineOptions& options) override;

  absl::StatusOr<std::vector<v1::LayerInfo>> ListLayers(const CallOptions& options) override;
  absl::StatusOr<v1::LayerInfo> GetLayer(absl::string_view name,
                                         const CallOptions& options) override;
  absl::StatusOr<v1::ServerInfo> GetServerInfo(const CallOptions& options) override;
  absl::StatusOr<HealthStatus> CheckHealth(absl::string_view service,
                                           const CallOptions& options) override;

 private:
  absl::StatusOr<CallSpec> MakeSpec(const char* method, const grpc::ByteBuffer& request,
                                    const CallOptions& options);
  // The same for a call that the throttle may hold back.
  absl::StatusOr<CallSpec> Admit(const char* method, const grpc::ByteBuffer& request,
                                 const CallOptions& options);
  absl::StatusOr<CallSpec> Admit(const PreparedRequest& request, const CallOptions& options);

  // A call whose messages are small: by the generated classes.
  absl::Status CallMessage(const char* method, const google::protobuf::MessageLite& request,
                           const CallOptions& options, google::protobuf::MessageLite& response);

  const RetryPolicy retry_;
  Pacer& pacer_;
  const std::shared_ptr<LoadControl> load_;
  const std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::atomic<uint64_t> pipelines_ = 0;  // opened so far; they take turns over the channels
  Transport transport_;
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_GRPC_CLIENT_H_
