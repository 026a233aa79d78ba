// SPDX-License-Identifier: Apache-2.0

// Question: how much CPU do the metrics, the log and the exporter of spans take of a request that
// is answered? Method: each row makes the calls that a unary request to a layer makes, alone in its
// batch, many times per round, on one thread and on several at once, which share counters and
// histograms as network threads and lanes do. Lines of the log are made and formatted, but not
// written to a file. Spans are queued for a collector that takes all at once; what its thread does
// is not counted, and more come than it can send, so that some are dropped after they have been
// encoded. The rounds of all rows take turns. The first argument is the number of rounds; by
// default 21. Statistic: CPU time of all threads per request; median, least and greatest of the
// rounds. Compare with the CPU time of a request on the service: the rate of
// process_cpu_seconds_total over that of attend_requests_total.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "server/telemetry/log.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/request_log.h"
#include "server/telemetry/span_exporter.h"
#include "server/telemetry/span_sender.h"

namespace attend {
namespace {

constexpr int kThreads = 2;
constexpr int64_t kRequestsPerRound = 20'000;
constexpr absl::Duration kStage = absl::Microseconds(300);
constexpr Method kMethod = Method::kMultiHeadAttention;

RequestDetails MakeDetails() {
  RequestDetails details;
  details.layer = "minilm/3";
  details.rows = 16;
  details.bytes_in = details.bytes_out = 24'600;
  details.decode = details.queue = details.compute = details.encode = kStage;
  return details;
}

// What a unary request counts, from its start to its end, its batch included.
void Count(Metrics& metrics, const RequestDetails& details) {
  static const std::string no_reason;
  metrics.OnRequestStarted(kMethod);
  for (const Stage stage : {Stage::kDecode, Stage::kQueue, Stage::kCompute, Stage::kEncode}) {
    metrics.OnStage(stage, kStage);
  }
  metrics.OnBatch({.requests = 1,
                   .tokens = details.rows,
                   .flops = 1e6,
                   .expected = kStage,
                   .compute = kStage,
                   .computed = true});
  metrics.OnRequestEnded(kMethod, absl::StatusCode::kOk, no_reason, 4 * kStage);
  metrics.OnMessages(details, true);
}

void LogEnd(RequestLog& log, const RequestDetails& details) {
  log.OnEnd({.method = "MultiHeadAttention",
             .request_id = "0123456789abcdef",
             .caller = "192.0.2.1",
             .duration = 4 * kStage,
             .details = details});
}

void ExportEnd(SpanExporter& exporter, const RequestDetails& details, bool sampled) {
  exporter.OnEnd({.service = "attend.v1.AttentionService",
                  .method = "MultiHeadAttention",
                  .request_id = "0123456789abcdef",
                  .traceparent = sampled
                                     ? "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                                     : "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                  .caller = "192.0.2.1",
                  .duration = 4 * kStage,
                  .details = details});
}

class IdleSender final : public SpanSender {
 public:
  Outcome Send(const std::string& /*request*/, absl::Duration /*timeout*/) override { return {}; }
  void Cancel() override {}
};

RequestLog MakeLog(int64_t sample) {
  return RequestLog(
      {.slow = absl::Seconds(1), .sample = sample}, Clock::Steady(),
      [](LogLevel /*level*/, absl::string_view message, const std::vector<LogField>& fields) {
        if (FormatLine(LogFormat::kText, message, fields).empty()) std::abort();
      });
}

double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// CPU nanoseconds per call of `body`, which `threads` threads call at the same time.
double Measure(int threads, const std::function<void()>& body) {
  std::vector<double> seconds(static_cast<size_t>(threads));
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      for (int64_t i = 0; i < kRequestsPerRound / 20; ++i) body();  // not counted
      const double start = ThreadSeconds();
      for (int64_t i = 0; i < kRequestsPerRound; ++i) body();
      seconds[static_cast<size_t>(t)] = ThreadSeconds() - start;
    });
  }
  double sum = 0.0;
  for (int t = 0; t < threads; ++t) {
    running[static_cast<size_t>(t)].join();
    sum += seconds[static_cast<size_t>(t)];
  }
  return sum / static_cast<double>(threads * kRequestsPerRound) * 1e9;
}

struct Row {
  const char* name;
  std::function<void()> body;
  std::vector<double> nanoseconds[2] = {};  // on one thread, and on kThreads
};

void Print(const Row& row) {
  for (int i = 0; i < 2; ++i) {
    std::vector<double> sorted = row.nanoseconds[i];
    std::sort(sorted.begin(), sorted.end());
    std::printf("%-52s %d thread%s %8.0f ns (%.0f to %.0f)\n", row.name, i == 0 ? 1 : kThreads,
                i == 0 ? " " : "s", sorted[sorted.size() / 2], sorted.front(), sorted.back());
  }
}

int Main(int rounds) {
  Metrics metrics;
  const RequestDetails details = MakeDetails();
  metrics.SetLayers({details.layer});
  RequestLog sampled = MakeLog(1000), all = MakeLog(1);
  SpanExporter exporter(std::make_unique<IdleSender>(), Clock::Steady());
  Row rows[] = {
      {"metrics of a request", [&] { Count(metrics, details); }},
      {"its end in the log, one line per 1,000 requests", [&] { LogEnd(sampled, details); }},
      {"its end in the log, as many lines as are allowed", [&] { LogEnd(all, details); }},
      {"both, with one line per 1,000 requests",
       [&] {
         Count(metrics, details);
         LogEnd(sampled, details);
       }},
      {"its end at the exporter of spans, not sampled",
       [&] { ExportEnd(exporter, details, /*sampled=*/false); }},
      {"its end at the exporter of spans, sampled",
       [&] { ExportEnd(exporter, details, /*sampled=*/true); }},
  };
  for (int round = 0; round < rounds; ++round) {
    for (Row& row : rows) {
      row.nanoseconds[0].push_back(Measure(1, row.body));
      row.nanoseconds[1].push_back(Measure(kThreads, row.body));
    }
  }
  for (const Row& row : rows) Print(row);
  return 0;
}

}  // namespace
}  // namespace attend

int main(int argc, char** argv) {
  return attend::Main(argc > 1 ? std::max(std::atoi(argv[1]), 1) : 21);
}
