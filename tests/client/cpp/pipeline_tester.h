// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CLIENT_CPP_PIPELINE_TESTER_H_
#define ATTEND_TESTS_CLIENT_CPP_PIPELINE_TESTER_H_

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "attend/client.h"
#include "attend/pipeline.h"
#include "tests/client/cpp/wire_bytes.h"
#include "tests/client/fake_service.h"

namespace attend::client {

using ResponseFuture = std::future<absl::StatusOr<AttentionResponse>>;

inline std::unique_ptr<Client> Connect(const FakeServer& server) {
  return *Client::Create({.targets = {server.address()}});
}
inline std::unique_ptr<Pipeline> OpenPipeline(Client& client, const PipelineOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<Pipeline>> pipeline = client.OpenPipeline(options);
  EXPECT_TRUE(pipeline.ok()) << pipeline.status();
  return *std::move(pipeline);
}

// A request whose answer from a FakeServer is one row of `value`.
inline MultiHeadAttentionRequest RequestOf(float value) {
  MultiHeadAttentionRequest request;
  request.layer = "l0";
  request.query = TensorView::Owning(std::vector<float>{value}, {1, 1, 1});
  return request;
}

// The value that the answer holds, or -1.
inline float ValueOf(ResponseFuture& future) {
  const absl::StatusOr<AttentionResponse> response = future.get();
  EXPECT_TRUE(response.ok()) << response.status();
  return response.ok() ? response->output.ToFloats().front() : -1;
}

// An answer that refuses a request; pushback_ms < 0: without one.
inline v1::PipelineResponse Refusal(uint64_t id, grpc::StatusCode code, const std::string& reason,
                                    int pushback_ms = -1) {
  v1::PipelineResponse answer;
  answer.set_id(id);
  answer.mutable_status()->set_code(code);
  answer.mutable_status()->set_message("not now");
  google::protobuf::Any& info = *answer.mutable_status()->add_details();
  info.set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  info.set_value(BytesField(1, reason) + BytesField(2, "attend") +
                 BytesField(3, BytesField(1, "field") + BytesField(2, "query")));
  if (pushback_ms >= 0) {
    google::protobuf::Any& retry = *answer.mutable_status()->add_details();
    retry.set_type_url("type.googleapis.com/google.rpc.RetryInfo");
    retry.set_value(
        BytesField(1, VarintField(1, static_cast<uint64_t>(pushback_ms) / 1000) +
                          VarintField(2, static_cast<uint64_t>(pushback_ms) % 1000 * 1'000'000)));
  }
  return answer;
}

}  // namespace attend::client

#endif  // ATTEND_TESTS_CLIENT_CPP_PIPELINE_TESTER_H_
