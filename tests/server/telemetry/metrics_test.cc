// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/metrics.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/layer/registry.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

TEST(MetricsTest, ExportsZerosFromTheStart) {
  const std::string text = Metrics().Text();
  for (const MethodName& name : kMethods) {
    for (const char* code : {"OK", "INVALID_ARGUMENT", "INTERNAL", "UNAUTHENTICATED"}) {
      EXPECT_THAT(text, HasSubstr(absl::StrCat("attend_requests_total{code=\"", code,
                                               "\",method=\"", name.method, "\"} 0\n")));
    }
    EXPECT_THAT(text, HasSubstr(absl::StrCat("attend_request_duration_seconds_count{method=\"",
                                             name.method, "\"} 0\n")));
    EXPECT_THAT(text, HasSubstr(absl::StrCat("grpc_server_started_total{grpc_method=\"",
                                             name.method, "\",grpc_service=\"", name.service,
                                             "\",grpc_type=\"", name.grpc_type, "\"} 0\n")));
  }
  for (const char* stage : {"decode", "queue", "compute", "encode"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("attend_stage_duration_seconds_count{stage=\"", stage,
                                             "\"} 0\n")));
  }
  for (const char* reason :
       {"queue_full", "memory", "too_large", "too_costly", "expired", "draining", "other"}) {
    EXPECT_THAT(text,
                HasSubstr(absl::StrCat("attend_rejected_total{reason=\"", reason, "\"} 0\n")));
  }
  for (const char* result : {"exported", "dropped", "failed"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("attend_spans_total{result=\"", result, "\"} 0\n")));
  }
  for (const char* name :
       {"attend_queue_requests", "attend_queue_bytes", "attend_in_flight_bytes", "attend_layers",
        "attend_executor_busy_seconds_total", "attend_compute_flops_total",
        "attend_batch_requests_count", "attend_batch_tokens_count"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", name, " 0\n")));
  }
  for (const char* name :
       {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
        "process_max_fds", "process_start_time_seconds", "process_virtual_memory_bytes"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", name, " ")));
  }
  // An image or a package that was built without git may not know the commit.
  EXPECT_THAT(text,
              ContainsRegex("attend_build_info.compiler=\"[^\"]+\",revision=\"(unknown|[0-9a-f]+)\""
                            ",version=\"[0-9.]+\"} 1\n"));
}

TEST(MetricsTest, CountsARequestOnceByItsCode) {
  Metrics metrics;
  metrics.OnRequestStarted(Method::kGetLayer);
  metrics.OnRequestEnded(Method::kGetLayer, absl::StatusCode::kNotFound, "UNKNOWN_LAYER",
                         absl::Microseconds(30));
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("attend_requests_total{code=\"NOT_FOUND\",method=\"GetLayer\"} 1"));
  EXPECT_THAT(text, HasSubstr("attend_requests_total{code=\"OK\",method=\"GetLayer\"} 0"));
  EXPECT_THAT(text, HasSubstr("attend_rejected_total{reason=\"unknown_layer\"} 1"));
  EXPECT_THAT(text, HasSubstr("grpc_server_handled_total{grpc_code=\"NotFound\","));
  EXPECT_THAT(
      text,
      HasSubstr("attend_request_duration_seconds_bucket{method=\"GetLayer\",le=\"5e-05\"} 1"));
}

TEST(MetricsTest, CountsEveryCauseOfInvalidArgumentUnderOneReason) {
  Metrics metrics;
  for (const char* reason : {"SHAPE_MISMATCH", "MISSING_FIELD", "RESPONSE_TOO_LARGE"}) {
    metrics.OnRequestEnded(Method::kMultiHeadAttention, absl::StatusCode::kInvalidArgument, reason,
                           absl::ZeroDuration());
  }
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("attend_rejected_total{reason=\"invalid_argument\"} 2"));
  EXPECT_THAT(text, HasSubstr("attend_rejected_total{reason=\"response_too_large\"} 1"));
}

TEST(MetricsTest, CountsUnknownReasonsAsOther) {
  Metrics metrics;
  metrics.OnRequestEnded(Method::kGetLayer, absl::StatusCode::kResourceExhausted, "NEW",
                         absl::ZeroDuration());
  EXPECT_THAT(metrics.Text(), HasSubstr("attend_rejected_total{reason=\"other\"} 1"));
}

TEST(MetricsTest, CountsNoRejectionForOkCancelledAndInternal) {
  Metrics metrics;
  for (const absl::StatusCode code :
       {absl::StatusCode::kOk, absl::StatusCode::kCancelled, absl::StatusCode::kInternal}) {
    metrics.OnRequestEnded(Method::kGetLayer, code, "QUEUE_FULL", absl::ZeroDuration());
  }
  EXPECT_THAT(metrics.Text(), HasSubstr("attend_rejected_total{reason=\"queue_full\"} 0"));
}

TEST(MetricsTest, ObservesBatchesAndStages) {
  Metrics metrics;
  BatchRecord batch;
  batch.requests = 3;
  batch.tokens = 48;
  batch.flops = 1e9;
  batch.expected = absl::Milliseconds(400);
  batch.compute = absl::Milliseconds(500);
  batch.computed = true;
  metrics.OnBatch(batch);
  metrics.OnStage(Stage::kQueue, absl::Microseconds(1));
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("attend_batch_requests_sum 3"));
  EXPECT_THAT(text, HasSubstr("attend_batch_tokens_sum 48"));
  EXPECT_THAT(text, HasSubstr("attend_executor_busy_seconds_total 0.5"));
  EXPECT_THAT(text, HasSubstr("attend_compute_flops_total 1000000000"));
  EXPECT_THAT(text, HasSubstr("attend_batch_prediction_ratio_sum 1.25"));
  EXPECT_THAT(text, HasSubstr("attend_stage_duration_seconds_count{stage=\"queue\"} 1"));
}

TEST(MetricsTest, CountsBytesOfMessagesAndResultsByLayer) {
  Metrics metrics;
  metrics.SetLayers({"a", "b"});
  RequestDetails details = {.layer = "a", .rows = 5, .bytes_in = 100, .bytes_out = 40};
  metrics.OnMessages(details, /*answered=*/true);
  metrics.OnMessages(details, /*answered=*/false);  // it was read, but nothing was sent
  details.layer = "no such layer";                  // callers make no series
  metrics.OnMessages(details, /*answered=*/true);
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("attend_message_bytes_total{direction=\"received\"} 300\n"));
  EXPECT_THAT(text, HasSubstr("attend_message_bytes_total{direction=\"sent\"} 80\n"));
  EXPECT_THAT(text, HasSubstr("attend_layer_requests_total{layer=\"a\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("attend_layer_tokens_total{layer=\"a\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("attend_layer_requests_total{layer=\"b\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("no such layer")));
}

TEST(MetricsTest, TellsLatenciesApartUpToTheLongestDeadline) {
  const auto has_bound = [](const Metrics& metrics, const std::string& bound) {
    return absl::StrContains(metrics.Text(),
                             absl::StrCat("{method=\"GetLayer\",le=\"", bound, "\"}"));
  };
  EXPECT_TRUE(has_bound(Metrics(absl::Seconds(5)), "60"));
  const Metrics longer(absl::Minutes(10));
  for (const char* bound : {"0.25", "60", "240", "600", "+Inf"}) {
    EXPECT_TRUE(has_bound(longer, bound)) << bound;
  }
  EXPECT_FALSE(has_bound(longer, "960"));
}

TEST(MetricsTest, ReadsTheEnginesGaugesWhenScraped) {
  const LayerRegistry layers;
  EngineOptions options;
  options.num_workers = 1;
  Metrics metrics;
  MemoryBudget budget(int64_t{1} << 30);
  Engine engine(options, layers, budget, Clock::Steady(), &metrics);
  metrics.gauges().SetEngine(&engine);
  metrics.SetLayers({"a", "b"});
  const absl::StatusOr<MemoryCharge> charge = engine.budget().Charge(12345);
  ASSERT_TRUE(charge.ok());
  EXPECT_THAT(metrics.Text(), HasSubstr("attend_in_flight_bytes 12345"));
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("attend_layers 2"));
  EXPECT_THAT(
      text, HasSubstr(absl::StrCat("attend_in_flight_limit_bytes ", budget.request_bytes(), "\n")));
  EXPECT_THAT(text, HasSubstr("attend_workers 1\n"));
  EXPECT_THAT(text, HasSubstr("attend_executors 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("attend_compute_peak_flops 0\n")));
  metrics.gauges().SetEngine(nullptr);
  EXPECT_THAT(metrics.Text(), HasSubstr("attend_in_flight_bytes 0"));
}

}  // namespace
}  // namespace attend
