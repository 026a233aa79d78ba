// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_INTEGRATION_SERVER_PIPELINE_STREAM_H_
#define ATTEND_TESTS_INTEGRATION_SERVER_PIPELINE_STREAM_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "attend/v1/attention.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/server_process.h"

namespace attend {

// One stream of requests, and what it has received.
class PipelineStream {
 public:
  explicit PipelineStream(const ServerProcess& server)
      : stub_(v1::AttentionService::NewStub(server.Channel())),
        stream_(stub_->Pipeline(&context_)) {}

  // Shows a token. Ends after a minute, so that a test fails where it would wait for ever.
  PipelineStream(const ServerProcess& server, const std::string& token)
      : stub_(v1::AttentionService::NewStub(server.Channel())) {
    context_.AddMetadata("authorization", "Bearer " + token);
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    stream_ = stub_->Pipeline(&context_);
  }

  static v1::PipelineRequest Operator(uint64_t id, int64_t rows = 8) {
    v1::PipelineRequest request;
    request.set_id(id);
    *request.mutable_scaled_dot_product_attention() = OperatorRequest(rows, 1, 8);
    return request;
  }
  static v1::PipelineRequest Layer(uint64_t id, int64_t rows) {
    v1::PipelineRequest request;
    request.set_id(id);
    *request.mutable_multi_head_attention() = LayerRequest("r", rows, 32);
    return request;
  }

  void Send(const v1::PipelineRequest& request) { EXPECT_TRUE(stream_->Write(request)); }
  void Cancel(uint64_t id) {
    v1::PipelineRequest request;
    request.set_id(id);
    request.mutable_cancel();
    Send(request);
  }

  // The next answer; its id is 0, with no result, if the stream has ended.
  v1::PipelineResponse Next() {
    v1::PipelineResponse response;
    if (!stream_->Read(&response)) response.Clear();
    ExpectNoPlaceIn(response.status().SerializeAsString());
    return response;
  }
  void ExpectError(uint64_t id, grpc::StatusCode code, const std::string& reason) {
    const v1::PipelineResponse response = Next();
    EXPECT_EQ(response.id(), id);
    EXPECT_EQ(response.status().code(), code) << response.ShortDebugString();
    EXPECT_THAT(response.status().details(0).type_url(),
                testing::HasSubstr("google.rpc.ErrorInfo"));
    EXPECT_THAT(response.status().details(0).value(), testing::HasSubstr(reason));
  }
  void ExpectResult(uint64_t id) {
    const v1::PipelineResponse response = Next();
    EXPECT_EQ(response.id(), id);
    EXPECT_FALSE(response.has_status()) << response.ShortDebugString();
    EXPECT_TRUE(response.has_multi_head_attention() || response.has_scaled_dot_product_attention());
  }

  void HalfClose() { EXPECT_TRUE(stream_->WritesDone()); }
  void TryCancel() { context_.TryCancel(); }
  // Blocks until the stream ends. To be called once.
  grpc::Status End() {
    v1::PipelineResponse response;
    EXPECT_FALSE(stream_->Read(&response)) << response.ShortDebugString();
    grpc::Status end = stream_->Finish();
    ExpectNoPlaceIn(end.error_message() + end.error_details());
    return end;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::AttentionService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::PipelineRequest, v1::PipelineResponse>> stream_;
};

}  // namespace attend

#endif  // ATTEND_TESTS_INTEGRATION_SERVER_PIPELINE_STREAM_H_
