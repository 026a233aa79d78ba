#include "tests/bench/kernels/harness.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/base/cpu.h"
#include "tests/bench/kernels/peaks.h"

namespace attend::bench {
namespace {

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

double RunsFor(const Work& work, WorkerPool& pool, int runs) {
  const double start = Now(pool);
  for (int i = 0; i < runs; ++i) work.run(pool);
  return Now(pool) - start;
}

}  // namespace

Result Measure(const Case& item, WorkerPool& pool, double min_seconds) {
  const Work work = item.make();
  Result result;
  result.name = item.name;
  result.threads = pool.size();
  work.run(pool);
  result.error = work.error();
  result.correct = result.error <= work.max_error;

  constexpr double kLeastSeconds =
      0.004;  // of one measurement: clocks and wake-ups are microseconds
  constexpr int kLeastRepetitions = 7;
  const double once = std::max(RunsFor(work, pool, 1), 1e-7);
  const int runs = std::max(1, static_cast<int>(kLeastSeconds / once));
  std::vector<double> seconds, shares;
  double total = 0;
  while (total < min_seconds || seconds.size() < kLeastRepetitions) {
    const double peak = work.bfloat16 ? BFloat16Peak(pool) : FloatPeak(pool);
    const double took = RunsFor(work, pool, runs) / runs;
    seconds.push_back(took);
    if (peak > 0) shares.push_back(work.flops / took / peak);
    total += took * runs;
  }
  result.repetitions = static_cast<int>(seconds.size());
  result.seconds = Quantile(seconds, 0.5);
  result.low = Quantile(seconds, 0.25);
  result.high = Quantile(seconds, 0.75);
  result.gflops = work.flops / result.seconds * 1e-9;
  result.tokens_per_second = work.tokens / result.seconds;
  result.share_of_peak = shares.empty() ? 0.0 : Quantile(shares, 0.5);
  return result;
}

void PrintHeader() {
  std::printf("%-36s %3s %10s %17s %9s %6s %12s %9s\n", "case", "thr", "median us", "quartiles us",
              "GFLOP/s", "peak", "tokens/s", "error");
}

void Print(const Result& r) {
  std::printf("%-36s %3d %10.1f %8.1f-%8.1f %9.1f %5.1f%% ", r.name.c_str(), r.threads,
              r.seconds * 1e6, r.low * 1e6, r.high * 1e6, r.gflops, r.share_of_peak * 100);
  if (r.tokens_per_second > 0) {
    std::printf("%12.0f ", r.tokens_per_second);
  } else {
    std::printf("%12s ", "");
  }
  std::printf("%9.2g%s\n", r.error, r.correct ? "" : "  WRONG");
  std::fflush(stdout);
}

std::string ToJson(const std::vector<Machine>& machines, const std::vector<Result>& results) {
  nlohmann::json json;
  json["cpu_features"] = CpuFeatureNames();
  for (const Machine& m : machines) {
    json["peaks"].push_back({{"threads", m.threads},
                             {"float32_gflops", m.float_peak * 1e-9},
                             {"bfloat16_gflops", m.bfloat16_peak * 1e-9},
                             {"read_gb_per_second", m.bandwidth * 1e-9}});
  }
  for (const Result& r : results) {
    json["results"].push_back({{"name", r.name},
                               {"threads", r.threads},
                               {"repetitions", r.repetitions},
                               {"median_seconds", r.seconds},
                               {"lower_quartile_seconds", r.low},
                               {"upper_quartile_seconds", r.high},
                               {"gflops", r.gflops},
                               {"share_of_peak", r.share_of_peak},
                               {"tokens_per_second", r.tokens_per_second},
                               {"relative_error", r.error},
                               {"correct", r.correct}});
  }
  return json.dump(2);
}

}  // namespace attend::bench
