// Question: how fast are the operator and whole layers in this process, against
// what the machine can do?
//
// Method: each case runs warm, a few milliseconds a measurement, each measurement
// right after one of the machine's own peak (multiply-adds on registers, in the
// case's type and on as many threads). One thread is timed by its processor time,
// so that other load on the machine takes nothing from the figure but caches;
// several by the wall clock. Every result is checked against double first.
//
// Statistic: median and quartiles over measurements; the share of the peak is the
// median of the ratios to the peak next to each. Causal counts the work that
// causal leaves, about half.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "core/base/cpu.h"
#include "tests/bench/kernels/harness.h"
#include "tests/bench/kernels/peaks.h"

namespace attend::bench {
namespace {

struct Flags {
  std::string json, filter;
  double seconds = 0.3;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
};

[[noreturn]] void Usage() {
  std::fprintf(stderr,
               "usage: bench_kernels [--json=FILE] [--filter=TEXT in the case's name]\n"
               "                     [--seconds=0.3 of each case] [--threads=most to use]\n");
  std::exit(2);
}

Flags Parse(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    if (!absl::StrContains(arg, '=') && i + 1 < argc) arg += std::string("=") + argv[++i];
    const size_t equals = arg.find('=');
    if (equals == std::string::npos) Usage();
    const std::string name = arg.substr(0, equals), value = arg.substr(equals + 1);
    if (name == "--json") {
      flags.json = value;
    } else if (name == "--filter") {
      flags.filter = value;
    } else if (name == "--seconds") {
      if (!absl::SimpleAtod(value, &flags.seconds)) Usage();
    } else if (name == "--threads") {
      if (!absl::SimpleAtoi(value, &flags.threads) || flags.threads < 1) Usage();
    } else {
      Usage();
    }
  }
  return flags;
}

int Main(int argc, char** argv) {
  const Flags flags = Parse(argc, argv);
  std::vector<Machine> machines;
  std::vector<Result> results;
  bool correct = true;
  for (int threads = 1; threads <= flags.threads; threads *= 2) {
    WorkerPool pool(threads);
    const Machine machine{threads, FloatPeak(pool), BFloat16Peak(pool), ReadBandwidth(pool)};
    machines.push_back(machine);
    std::printf("peaks, %d thread%s: %.0f GFLOP/s float32, %.0f GFLOP/s bfloat16, %.1f GB/s read\n",
                threads, threads == 1 ? "" : "s", machine.float_peak * 1e-9,
                machine.bfloat16_peak * 1e-9, machine.bandwidth * 1e-9);
  }
  PrintHeader();
  std::vector<Case> cases = LayerCases();
  for (Case& item : OperatorCases()) cases.push_back(std::move(item));
  for (const Case& item : cases) {
    if (!absl::StrContains(item.name, flags.filter)) continue;
    for (int threads = 1; threads <= flags.threads; threads *= 2) {
      WorkerPool pool(threads);
      results.push_back(Measure(item, pool, flags.seconds));
      Print(results.back());
      correct = correct && results.back().correct;
    }
  }
  if (!flags.json.empty()) {
    std::ofstream file(flags.json);
    file << ToJson(machines, results) << "\n";
    if (!file.good()) {
      std::fprintf(stderr, "cannot write %s\n", flags.json.c_str());
      return 1;
    }
  }
  return correct ? 0 : 1;
}

}  // namespace
}  // namespace attend::bench

int main(int argc, char** argv) {
  return attend::bench::Main(argc, argv);
}
