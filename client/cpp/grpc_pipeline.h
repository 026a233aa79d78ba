// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_GRPC_PIPELINE_H_
#define ATTEND_CLIENT_CPP_GRPC_PIPELINE_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "attend/pipeline.h"
#include "client/cpp/pipeline_stream.h"
#include "grpcpp/channel.h"

namespace attend::client::internal {

// A pipeline over one stream of a channel: encodes requests and gives them to it.
class GrpcPipeline final : public Pipeline {
 public:
  // INVALID_ARGUMENT, with the option's name, where an option is wrong. The ids of
  // requests count from `first_id`.
  static absl::StatusOr<std::unique_ptr<Pipeline>> Open(
      const std::shared_ptr<grpc::Channel>& channel, const PipelineOptions& options,
      PipelineStream::Shared shared, uint64_t first_id = 1);

  ~GrpcPipeline() override { stream_->Stop(); }

  absl::StatusOr<PendingCall> Start(const MultiHeadAttentionRequest& request,
                                    const ItemOptions& options, ResponseCallback done) override;
  absl::StatusOr<PendingCall> Start(const ScaledDotProductAttentionRequest& request,
                                    const ItemOptions& options, ResponseCallback done) override;
  absl::StatusOr<PendingCall> Start(const PreparedRequest& request, const ItemOptions& options,
                                    ResponseCallback done) override;

  absl::Status Finish(absl::Duration timeout) override { return stream_->Finish(timeout); }

 private:
  explicit GrpcPipeline(std::shared_ptr<PipelineStream> stream) : stream_(std::move(stream)) {
    stream_->Open();
  }

  const std::shared_ptr<PipelineStream> stream_;
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_GRPC_PIPELINE_H_
