#ifndef ATTEND_TESTS_BENCH_KERNELS_HARNESS_H_
#define ATTEND_TESTS_BENCH_KERNELS_HARNESS_H_

#include <functional>
#include <string>
#include <vector>

#include "core/base/worker_pool.h"

namespace attend::bench {

// One thing to time. Made when its turn comes, so that memory is held for one.
struct Work {
  double flops = 0;
  double tokens = 0;      // 0: not a figure of this case
  bool bfloat16 = false;  // which peak it is held against
  std::function<void(WorkerPool&)> run;
  // Error of the result against double, relative to its norm.
  std::function<double()> error;
  double max_error = 0;
};

struct Case {
  std::string name;
  std::function<Work()> make;
};

struct Result {
  std::string name;
  int threads = 0;
  int repetitions = 0;
  double seconds = 0;        // of one run: median
  double low = 0, high = 0;  // quartiles
  double gflops = 0;         // at the median
  double tokens_per_second = 0;
  double share_of_peak = 0;  // median of ratios to peaks taken next to each run
  double error = 0;
  bool correct = false;
};

Result Measure(const Case& item, WorkerPool& pool, double min_seconds);

void PrintHeader();
void Print(const Result& result);

struct Machine {
  int threads = 0;
  double float_peak = 0, bfloat16_peak = 0, bandwidth = 0;
};

// The whole run as JSON.
std::string ToJson(const std::vector<Machine>& machines, const std::vector<Result>& results);

std::vector<Case> OperatorCases();
std::vector<Case> LayerCases();

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_KERNELS_HARNESS_H_
