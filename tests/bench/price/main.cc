// SPDX-License-Identifier: Apache-2.0

// Question: how well does the engine predict the time that requests take?
// Method: each case makes requests as if they had just arrived, runs them as one batch through
// the engine's own operations, and compares the shortest of several runs with the prediction
// (the runner's batch_seconds and the sum of the requests' seconds). The order of cases is fixed.
// The first argument is the number of workers; by default one per core.
// Statistic: predicted / measured per case, and the share of cases within a factor of 1.5.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/attention/rates.h"
#include "core/base/memory_budget.h"
#include "core/engine/layer_operation.h"
#include "core/engine/operator_operation.h"
#include "core/exec/cores.h"
#include "core/simd/cpu.h"
#include "core/weights/random_layer.h"

namespace attend {
namespace {

constexpr DataType kF32 = DataType::kFloat32, kBf16 = DataType::kBFloat16;
constexpr DataType kF16 = DataType::kFloat16;

struct Case {
  int64_t embed = 0;  // 0: the bare operator
  int64_t heads = 12, kv_heads = 12, dim = 64;
  int64_t batch = 1, rows = 1, keys = 1;  // of each request
  DataType type = kF32;
  bool causal = false;
  int64_t window = 0;  // keys to the left; 0: all
  int64_t requests = 1;
  float softcap = 0.0f;
  bool bias = false, weights = false;
};

std::vector<Case> LayerCases() {
  std::vector<Case> cases;
  for (const auto& [embed, heads] : {std::pair<int64_t, int64_t>{384, 12}, {768, 12}}) {
    for (const DataType type : {kF32, kBf16}) {
      if (type == kBf16 && !GetCpuFeatures().avx512) continue;  // there are no such layers
      for (const int64_t rows : {1, 4, 16, 64, 200, 512, 2048}) {
        cases.push_back({.embed = embed,
                         .heads = heads,
                         .kv_heads = heads,
                         .dim = embed / heads,
                         .rows = rows,
                         .keys = rows,
                         .type = type});
      }
      for (const int64_t requests : {4, 32}) {
        cases.push_back({.embed = embed,
                         .heads = heads,
                         .kv_heads = heads,
                         .dim = embed / heads,
                         .rows = 16,
                         .keys = 16,
                         .type = type,
                         .requests = requests});
      }
    }
  }
  cases.push_back({.embed = 768, .dim = 64, .batch = 32, .rows = 128, .keys = 128});
  cases.push_back({.embed = 768, .dim = 64, .batch = 8, .rows = 2048, .keys = 2048});
  return cases;
}

std::vector<Case> PrefillCases() {
  std::vector<Case> cases;
  for (const DataType type : {kF32, kBf16, kF16}) {
    cases.push_back({.rows = 512, .keys = 512, .type = type});
    cases.push_back({.dim = 128, .rows = 1024, .keys = 1024, .type = type, .causal = true});
    cases.push_back({.dim = 8, .rows = 1024, .keys = 1024, .type = type});
    cases.push_back(
        {.heads = 8, .kv_heads = 8, .dim = 1, .rows = 2048, .keys = 2048, .type = type});
    cases.push_back({.batch = 16, .rows = 40, .keys = 40, .type = type});
  }
  cases.push_back({.heads = 96, .kv_heads = 96, .dim = 1, .rows = 4096, .keys = 4096});
  cases.push_back(
      {.heads = 96, .kv_heads = 96, .dim = 1, .rows = 4096, .keys = 4096, .causal = true});
  cases.push_back({.dim = 32, .rows = 1024, .keys = 1024});
  cases.push_back({.dim = 16, .rows = 1024, .keys = 1024, .softcap = 30.0f});
  cases.push_back({.rows = 512, .keys = 512, .bias = true});
  cases.push_back({.rows = 512, .keys = 512, .weights = true});
  cases.push_back({.rows = 4096, .keys = 4096, .causal = true, .window = 256});
  cases.push_back(
      {.heads = 32, .kv_heads = 8, .dim = 128, .rows = 512, .keys = 4096, .type = kBf16});
  cases.push_back({.rows = 100, .keys = 3000});
  cases.push_back({.dim = 80, .rows = 17, .keys = 300});
  return cases;
}

std::vector<Case> DecodeCases() {
  std::vector<Case> cases;
  for (const DataType type : {kF32, kBf16, kF16}) {
    cases.push_back(
        {.heads = 32, .kv_heads = 8, .dim = 128, .rows = 1, .keys = 32768, .type = type});
    cases.push_back(
        {.heads = 32, .kv_heads = 8, .dim = 128, .rows = 1, .keys = 2048, .type = type});
    cases.push_back({.rows = 1, .keys = 1000, .type = type});
    cases.push_back({.heads = 32, .kv_heads = 1, .dim = 64, .rows = 1, .keys = 8192, .type = type});
    cases.push_back({.heads = 8, .kv_heads = 8, .dim = 1, .rows = 1, .keys = 30000, .type = type});
    cases.push_back({.batch = 32, .rows = 1, .keys = 512, .type = type});
    cases.push_back({.rows = 4, .keys = 4, .type = type});
  }
  cases.push_back({.rows = 16, .keys = 2000});
  cases.push_back({.rows = 1, .keys = 30000, .window = 1000});
  cases.push_back({.rows = 1, .keys = 256, .requests = 32});
  return cases;
}

std::string Describe(const Case& c) {
  char text[160];
  const char* type = c.type == kF32 ? "f32" : c.type == kBf16 ? "bf16" : "f16";
  std::snprintf(text, sizeof(text), "%-8s E=%-4d H=%d/%d D=%d %dx(%dx%dx%d)%s%s%s%s%s", type,
                static_cast<int>(c.embed), static_cast<int>(c.heads), static_cast<int>(c.kv_heads),
                static_cast<int>(c.dim), static_cast<int>(c.requests), static_cast<int>(c.batch),
                static_cast<int>(c.rows), static_cast<int>(c.keys), c.causal ? " causal" : "",
                c.window > 0 ? " window" : "", c.softcap > 0 ? " softcap" : "",
                c.bias ? " bias" : "", c.weights ? " weights" : "");
  return text;
}

// A tensor whose memory has just been written, like that of a message.
Tensor Written(DataType type, Shape shape) {
  Tensor tensor(type, std::move(shape));
  std::memset(tensor.data(), 0, tensor.byte_size());
  return tensor;
}

AttentionOptions MakeOptions(const Case& c) {
  AttentionOptions options;
  options.causal = c.causal;
  // Rows are the last of the keys, as in a decode.
  if (c.causal || c.window > 0) options.alignment = Alignment::kEnd;
  if (c.window > 0) options.window_left = c.window;
  if (c.softcap > 0.0f) options.softcap = c.softcap;
  if (c.bias) options.bias = Written(kF32, {1, 1, c.rows, c.keys});
  if (c.weights) options.weights = WeightsOutput::kPerHead;
  return options;
}

class Bench {
 public:
  explicit Bench(int workers) {
    contexts_.emplace_back(workers);
    operator_.emplace(contexts_);
  }

  // Prints one line. Returns whether the prediction is within a factor of 1.5.
  bool Run(const Case& c) {
    double measured = 1e300, predicted = 0.0, spent = 0.0;
    for (int run = 0; run < 15 && (run < 3 || spent < 0.3); ++run) {
      std::vector<std::unique_ptr<Operation>> operations;
      for (int64_t i = 0; i < c.requests; ++i) operations.push_back(Make(c));
      BatchRunner& runner = operations.front()->runner();
      predicted = runner.batch_seconds();
      for (const auto& operation : operations) {
        operation->Accept(*budget_.Charge(operation->cost().bytes),
                          [](const absl::StatusOr<Response>&) {});
        predicted += operation->cost().seconds;
      }
      const double start = Seconds();
      for (const auto& operation : operations) operation->Prepare(0);
      TaskGate gate;
      if (!runner.Run(0, gate)) std::abort();
      const double took = Seconds() - start;
      for (const auto& operation : operations) operation->End(Timing());
      measured = std::min(measured, took);
      spent += took;
    }
    std::fflush(stdout);
    const double ratio = predicted / measured;
    const bool good = ratio < 1.5 && ratio > 1.0 / 1.5;
    std::printf("%s %5.2f  predicted %9.1f us, measured %9.1f us  %s\n", good ? " " : "!", ratio,
                predicted * 1e6, measured * 1e6, Describe(c).c_str());
    return good;
  }

 private:
  // One worker is timed by the processor time that it takes, which other programs do not
  // disturb.
  double Seconds() const {
    timespec now;
    clock_gettime(contexts_.front().workers() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC,
                  &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }

  template <class Result>
  static std::unique_ptr<Operation> Value(Result result) {
    if (result.ok()) return *std::move(result);
    std::fprintf(stderr, "%s\n", std::string(result.status().message()).c_str());
    std::abort();
  }

  std::unique_ptr<Operation> Make(const Case& c) {
    if (c.embed > 0) {
      MultiHeadAttentionRequest request;
      request.query = Written(c.type, {c.batch, c.rows, c.embed});
      request.options = MakeOptions(c);
      Served& served = FindLayer(c);
      return Value(
          LayerOperation::Create(std::move(request), served.layer, served.runner, kLimits));
    }
    ScaledDotProductAttentionRequest request;
    request.query = Written(c.type, {c.batch, c.rows, c.heads, c.dim});
    request.key = Written(c.type, {c.batch, c.keys, c.kv_heads, c.dim});
    request.value = Written(c.type, {c.batch, c.keys, c.kv_heads, c.dim});
    request.options = MakeOptions(c);
    return Value(OperatorOperation::Create(std::move(request), *operator_, kLimits));
  }

  struct Served {
    std::shared_ptr<const Layer> layer;
    LayerRunner runner;
  };

  Served& FindLayer(const Case& c) {
    const auto key = std::make_pair(c.embed, c.type);
    if (const auto found = layers_.find(key); found != layers_.end()) return found->second;
    RandomLayerSpec spec;
    spec.name = "layer";
    spec.embed_dim = c.embed;
    spec.num_heads = c.heads;
    spec.compute = c.type == kBf16 ? ComputeType::kBFloat16 : ComputeType::kFloat32;
    auto parameters = DrawRandomLayer(spec);
    if (!parameters.ok()) std::abort();
    auto created = Layer::Create(parameters->config, parameters->weights);
    if (!created.ok()) std::abort();
    std::shared_ptr<const Layer> layer = *std::move(created);
    const LayerRates rates = MeasureLayer(*layer, contexts_.front());
    std::printf("layer: %.3g ps per multiply-add, %.1f us per batch\n", rates.multiply_add * 1e12,
                rates.batch * 1e6);
    return layers_.try_emplace(key, Served{std::move(layer), LayerRunner(rates, contexts_)})
        .first->second;
  }

  static constexpr ShapeLimits kLimits = {1 << 20, 1 << 20, 1 << 20, int64_t{1} << 40};
  MemoryBudget budget_{int64_t{1} << 40};
  std::deque<ExecutionContext> contexts_;
  std::optional<OperatorRunner> operator_;
  std::map<std::pair<int64_t, DataType>, Served> layers_;
};

int Main(int workers) {
  const auto start = std::chrono::steady_clock::now();
  const AttentionRates& rates = GetAttentionRates();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("measured rates in %.0f ms: %s\n", took.count() * 1e3, ToString(rates).c_str());
  Bench bench(workers);
  int good = 0, count = 0;
  for (const auto& cases : {LayerCases(), PrefillCases(), DecodeCases()}) {
    for (const Case& c : cases) {
      good += bench.Run(c) ? 1 : 0;
      ++count;
    }
  }
  std::printf("%d of %d cases within a factor of 1.5\n", good, count);
  return 0;
}

}  // namespace
}  // namespace attend

int main(int argc, char** argv) {
  return attend::Main(argc > 1 ? std::atoi(argv[1]) : attend::UsableCores());
}
