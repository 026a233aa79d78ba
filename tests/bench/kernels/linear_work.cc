// SPDX-License-Identifier: Apache-2.0

// One projection, y = x W^T + b, of a few rows.

#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>

#include "core/linalg/create_linear.h"
#include "core/tensor/convert.h"
#include "tests/bench/kernels/work.h"

namespace attend::bench {
namespace {

struct Operands {
  LinearConfig config;
  int64_t rows;
  std::vector<float> weight, bias;
  std::vector<std::unique_ptr<const Linear>> linears;  // all have the same weights
  Tensor x, y;                                         // both have the same type
  std::vector<const std::byte*> x_rows;
  std::vector<std::byte*> y_rows;
  size_t next = 0;

  explicit Operands(const nlohmann::json& spec) : rows(spec.at("rows")) {
    config.inputs = spec.at("inputs");
    config.outputs = spec.at("outputs");
    config.input_type = TypeOf(spec);
    config.matmul = ReadMatmul(spec);
    const float scale = 1.0f / std::sqrt(static_cast<float>(config.inputs));
    weight = Normal(config.inputs * config.outputs, scale, 1);
    bias = Normal(config.outputs, 0.1f, 2);
    for (int64_t copy = spec.value("copies", int64_t{1}); copy > 0; --copy) {
      auto made = CreateLinear(config, weight, bias);
      if (!made.ok()) throw std::runtime_error(std::string(made.status().message()));
      linears.push_back(std::move(made).value());
    }
    x = Tensor(config.input_type, {rows, config.inputs});
    y = Tensor(config.input_type, {rows, config.outputs});
    const int64_t elements = rows * config.inputs;
    ConvertFromFloat(Normal(elements, 1.0f, 3).data(), config.input_type, x.data(), elements);
    const auto element = static_cast<int64_t>(ElementSize(config.input_type));
    for (int64_t r = 0; r < rows; ++r) {
      x_rows.push_back(x.data() + r * config.inputs * element);
      y_rows.push_back(y.data() + r * config.outputs * element);
    }
  }

  void Run(ExecutionContext& context) {
    const Linear& linear = *linears[next];
    next = (next + 1) % linears.size();
    const LinearBatch batch = {rows, x_rows.data(), y_rows.data(), config.input_type};
    context.pool().ParallelFor(linear.NumTasks(rows), [&](int64_t task, int worker) {
      linear.Run(task, batch, context.arena(worker));
    });
  }

  // Compares all rows, some of the outputs.
  double Error() const {
    constexpr int64_t kStep = 61;
    RelativeError error;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = r % kStep; o < config.outputs; o += kStep) {
        double truth = bias[static_cast<size_t>(o)];
        for (int64_t i = 0; i < config.inputs; ++i) {
          truth += static_cast<double>(weight[static_cast<size_t>(o * config.inputs + i)]) *
                   LoadFloat(config.input_type, x.data(), r * config.inputs + i);
        }
        error.Add(LoadFloat(config.input_type, y.data(), r * config.outputs + o), truth);
      }
    }
    return error.Value();
  }
};

}  // namespace

Work MakeLinear(const nlohmann::json& spec) {
  auto operands = std::make_shared<Operands>(spec);
  const LinearConfig& c = operands->config;
  const double weights = static_cast<double>(c.inputs) * static_cast<double>(c.outputs);
  Work work;
  work.flops = 2.0 * static_cast<double>(operands->rows) * weights;
  work.bytes = weights * static_cast<double>(ElementSize(c.input_type));
  work.tokens = static_cast<double>(operands->rows);
  work.bfloat16 = c.input_type == DataType::kBFloat16;
  work.run = [operands](ExecutionContext& context) { operands->Run(context); };
  work.error = [operands] { return operands->Error(); };
  work.max_error = work.bfloat16 ? 1e-2 : 1e-5;
  return work;
}

}  // namespace attend::bench
