// SPDX-License-Identifier: Apache-2.0

// Question: how fast are the operator, whole layers and projections in this
// process, against what the machine can do?
//
// Method: this program answers requests of kernel_bench.py, one JSON object a
// line, and so holds its operands while others, asked in turn, run the same
// shape. A measurement is many samples of one case, warm, right after one of the
// machine's own peak on as many threads. One thread is timed by its processor
// time, so that other load on the machine takes nothing from the figure but
// caches; several by the wall clock.
//
// Statistic: the median of the samples; the driver compares medians round by
// round. Causal counts the work that causal leaves, about half.
//
//   {"do": "machine"}                                -> features, prefetch that was chosen
//   {"do": "peaks", "threads": 1}                    -> operations and bytes a second
//   {"do": "prepare", "case": {...}, "threads": 1}   -> what one run takes, its checked error
//   {"do": "run", "seconds": 0.1}                    -> median seconds, the peak beside it;
//       with "bandwidth": true that of reading, too; with "wall": true by the wall clock alone
//   {"do": "memory", "case": {...}}                  -> working bytes of one executor
//
// An answer with "failure" says what went wrong. Ends with its input.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/attention/attention.h"
#include "core/linalg/panel_prefetch.h"
#include "core/simd/cpu.h"
#include "tests/bench/kernels/peaks.h"
#include "tests/bench/kernels/work.h"

namespace attend::bench {
namespace {

using Json = nlohmann::json;

constexpr double kLeastSampleSeconds = 0.0002;  // reading a thread's clock takes a microsecond

// Seconds of `runs` runs.
double RunsFor(const Work& work, ExecutionContext& context, int runs, bool wall) {
  const auto now = [&] { return wall ? WallNow() : Now(context.pool()); };
  const double start = now();
  for (int i = 0; i < runs; ++i) work.run(context);
  return now() - start;
}

class Bench {
 public:
  Json Answer(const Json& request) {
    const std::string what = request.at("do");
    if (what == "machine") {
      return {{"features", CpuFeatureNames()},
              {"prefetch",
               {{"decode", ToString(GetDecodePrefetch())},
                {"projections", ToString(GetPanelPrefetch())}}}};
    }
    if (what == "peaks") return Peaks(request.at("threads"));
    if (what == "prepare") return Prepare(request);
    if (what == "run") return Run(request);
    if (what == "memory") return {{"bytes", WorkingBytes(request.at("case"))}};
    throw std::invalid_argument("unknown request " + what);
  }

 private:
  static Json Peaks(int threads) {
    WorkerPool pool(threads);
    return {{"f32", FloatPeak(pool)},
            {"bf16", BFloat16Peak(pool)},
            {"bf16_by", BFloat16PeakInstruction()},
            {"read", ReadBandwidth(pool)}};
  }

  Json Prepare(const Json& request) {
    work_.reset();  // first: two sets of operands need not be held
    work_.emplace(MakeWork(request.at("case")));
    context_ = std::make_unique<ExecutionContext>(request.at("threads").get<int>());
    work_->run(*context_);
    const double error = work_->error();
    return {{"flops", work_->flops},
            {"bytes", work_->bytes},
            {"tokens", work_->tokens},
            {"error", error},
            {"correct", error <= work_->max_error}};
  }

  Json Run(const Json& request) {
    if (!work_.has_value()) throw std::invalid_argument("nothing is prepared");
    const double peak =
        work_->bfloat16 ? BFloat16Peak(context_->pool()) : FloatPeak(context_->pool());
    const double read = request.value("bandwidth", false) ? ReadBandwidth(context_->pool()) : 0.0;
    const double seconds = request.at("seconds");
    const bool wall = request.value("wall", false);
    const double once =
        RunsFor(*work_, *context_, 1, wall);  // what ran between may have left cold caches
    const int runs = std::max(1, static_cast<int>(kLeastSampleSeconds / std::max(once, 1e-7)));
    std::vector<double> samples;
    // A case of which one run takes as long as all samples may take is warm by now.
    double total = once >= seconds ? once : 0.0;
    if (total > 0) samples.push_back(once);
    for (; total < seconds; total += samples.back() * runs) {
      samples.push_back(RunsFor(*work_, *context_, runs, wall) / runs);
    }
    std::nth_element(samples.begin(), samples.begin() + samples.size() / 2, samples.end());
    return {{"seconds", samples[samples.size() / 2]},
            {"samples", samples.size()},
            {"peak", peak},
            {"read", read}};
  }

  std::optional<Work> work_;
  std::unique_ptr<ExecutionContext> context_;
};

int Main() {
  // Both measure when they are first called; nothing else is to be timed or counted then.
  GetDecodePrefetch();
  GetPanelPrefetch();
  Bench bench;
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      answer = bench.Answer(Json::parse(line));
    } catch (const std::exception& error) {
      answer = {{"failure", error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace attend::bench

int main() {
  return attend::bench::Main();
}
