// SPDX-License-Identifier: Apache-2.0

// A call for whose tensors the system has no memory. Blocks above largest_block are
// refused.

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "attend/v1/attention.grpc.pb.h"
#include "gtest/gtest.h"
#include "server/calls/deadline_timer.h"
#include "server/services/attention_service.h"
#include "tests/support/call_server.h"
#include "tests/support/largest_block.h"

namespace attend {
namespace {

v1::Tensor MakeTensor(int64_t rows) {
  v1::Tensor tensor;
  tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
  for (const int64_t size : {int64_t{1}, rows, int64_t{2}, int64_t{16}}) tensor.add_shape(size);
  tensor.set_data(std::string(static_cast<size_t>(rows) * 2 * 16 * 4, '\0'));
  return tensor;
}

TEST(AttentionMemory, EndsTheCallWhoseTensorsFindNoMemoryAndServesTheNext) {
  LayerRegistry layers;
  MemoryBudget budget(int64_t{64} << 20);
  EngineOptions options;
  options.num_workers = 1;
  Metrics metrics;
  Engine engine(options, layers, budget, Clock::Steady(), nullptr);
  CallsInFlight calls;
  DeadlineTimer timer(Clock::Steady());
  AttentionService service(engine, metrics, calls, timer,
                           {int64_t{16} << 20, absl::Seconds(60), {}});
  Routes routes;
  service.AddTo(routes);
  CallServer server(std::move(routes));
  const auto stub = v1::AttentionService::NewStub(server.channel());

  const auto call = [&](int64_t rows, bool* pushback) {
    v1::ScaledDotProductAttentionRequest request;
    *request.mutable_query() = MakeTensor(rows);
    *request.mutable_key() = request.query();
    *request.mutable_value() = request.query();
    v1::ScaledDotProductAttentionResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub->ScaledDotProductAttention(&context, request, &response);
    *pushback = context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms") > 0;
    return status;
  };
  bool pushback = false;
  ASSERT_TRUE(call(8, &pushback).ok());
  largest_block = 100'000;
  const grpc::Status failed = call(1024, &pushback);
  largest_block = kNoLimit;
  EXPECT_EQ(failed.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << failed.error_message();
  EXPECT_NE(failed.error_details().find("MEMORY"), std::string::npos);
  EXPECT_TRUE(pushback);
  const grpc::Status next = call(1024, &pushback);
  EXPECT_TRUE(next.ok()) << next.error_message();
  EXPECT_TRUE(calls.WaitForNone(absl::Seconds(30)));
  server.Shutdown();
  EXPECT_EQ(budget.used_bytes(), 0);
}

}  // namespace
}  // namespace attend
