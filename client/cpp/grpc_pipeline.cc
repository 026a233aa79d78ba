// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/grpc_pipeline.h"

#include <utility>

#include "absl/memory/memory.h"
#include "client/cpp/status.h"

namespace attend::client::internal {

absl::StatusOr<std::unique_ptr<Pipeline>> GrpcPipeline::Open(
    const std::shared_ptr<grpc::Channel>& channel, const PipelineOptions& options,
    PipelineStream::Shared shared, uint64_t first_id) {
  if (options.max_requests < 1) return LocalError("INVALID_OPTION", "max_requests", "must be >= 1");
  if (options.max_bytes < 1) return LocalError("INVALID_OPTION", "max_bytes", "must be >= 1");
  const CallOptions call = {.metadata = options.metadata,
                            .credentials = options.credentials,
                            .request_id = options.request_id,
                            .wait_for_ready = options.wait_for_ready};
  absl::StatusOr<CallSpec> spec = MakeCallSpec("/attend.v1.AttentionService/Pipeline", {},
                                               shared.retry, call, shared.pacer.Now());
  if (!spec.ok()) return spec.status();
  return absl::WrapUnique(new GrpcPipeline(std::make_shared<PipelineStream>(
      channel, *std::move(spec), options, std::move(shared), first_id)));
}

absl::StatusOr<PendingCall> GrpcPipeline::Start(const MultiHeadAttentionRequest& request,
                                                const ItemOptions& options, ResponseCallback done) {
  const absl::StatusOr<PreparedRequest> prepared = PreparedRequest::Create(request);
  if (!prepared.ok()) return prepared.status();
  return Start(*prepared, options, std::move(done));
}

absl::StatusOr<PendingCall> GrpcPipeline::Start(const ScaledDotProductAttentionRequest& request,
                                                const ItemOptions& options, ResponseCallback done) {
  const absl::StatusOr<PreparedRequest> prepared = PreparedRequest::Create(request);
  if (!prepared.ok()) return prepared.status();
  return Start(*prepared, options, std::move(done));
}

absl::StatusOr<PendingCall> GrpcPipeline::Start(const PreparedRequest& request,
                                                const ItemOptions& options, ResponseCallback done) {
  if (request.prepared_ == nullptr) return LocalError("NOT_PREPARED", "request", "is empty");
  return stream_->Start(request.prepared_, options, std::move(done));
}

}  // namespace attend::client::internal
