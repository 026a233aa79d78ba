// SPDX-License-Identifier: Apache-2.0

// What decoding a request charges to its caller.

#include <string>

#include "attend/v1/attention.pb.h"
#include "core/base/status.h"
#include "gtest/gtest.h"
#include "server/codec/request_decoder.h"
#include "server/services/attention_context.h"
#include "server/services/pipeline_calls.h"

namespace attend {
namespace {

constexpr size_t kSequences = 1000;

// A message of three lists with a byte for each number.
std::string Lists() {
  v1::MultiHeadAttentionRequest request;
  request.mutable_query()->set_data_type(v1::DATA_TYPE_FLOAT32);
  request.mutable_query()->add_shape(0);
  for (size_t i = 0; i < kSequences; ++i) {
    request.add_query_lengths(1);
    request.add_key_lengths(1);
    request.mutable_options()->add_query_offsets(1);
  }
  return request.SerializeAsString();
}

// The lists took eight times their bytes of the message, and nobody had charged it.
TEST(DecodeChargeTest, ChargesTheListsBesideTheMessage) {
  LayerRegistry layers;
  MemoryBudget budget(int64_t{64} << 20);
  EngineOptions options;
  options.num_workers = 1;
  Engine engine(options, layers, budget, Clock::Steady(), nullptr);
  Metrics metrics;
  CallsInFlight calls;
  DeadlineTimer timer(Clock::Steady());
  CallerTable callers;
  PipelineCalls pipelines;
  const AttentionLimits limits = {1 << 20, absl::Seconds(60), {kSequences, 16}};
  const AttentionContext context{engine, metrics, calls, timer, callers, pipelines, limits, {}};
  const std::string bytes = Lists();
  const absl::string_view chunk = bytes;
  MemoryCharge charge;
  const absl::StatusOr<Request> request =
      DecodeRequest(context, kMultiHeadAttentionMethod, WireBytes(absl::MakeConstSpan(&chunk, 1)),
                    bytes.size(), kSharedCaller, /*identity=*/nullptr, charge);
  ASSERT_TRUE(request.ok()) << request.status();
  const int64_t lists = charge.bytes() - static_cast<int64_t>(bytes.size());
  EXPECT_EQ(lists, static_cast<int64_t>(ListBytes(*request)));
  EXPECT_GE(lists, static_cast<int64_t>(3 * kSequences * sizeof(int64_t)));
}

}  // namespace
}  // namespace attend
