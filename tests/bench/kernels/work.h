// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_BENCH_KERNELS_WORK_H_
#define ATTEND_TESTS_BENCH_KERNELS_WORK_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/exec/execution_context.h"
#include "core/linalg/linear_engine.h"
#include "core/tensor/tensor.h"

namespace attend::bench {

// A computation to time, with its operands in memory.
struct Work {
  double flops = 0;  // per run
  double bytes = 0;  // read per run: keys and values, or weights
  double tokens = 0;
  bool bfloat16 = false;  // compared with the peak of bfloat16
  std::function<void(ExecutionContext&)> run;
  // Error of the last result against double, relative to its norm.
  std::function<double()> error;
  double max_error = 0;
};

// Each is made from its part of a case in the form that the driver sends (rows.py lists what a
// case may hold). If a case has `copies`, runs alternate between that many copies of the data
// they read, so that none finds it in a cache. Throws std::exception if a case is invalid.
Work MakeAttention(const nlohmann::json& spec);  // the operator
Work MakeLayer(const nlohmann::json& spec);      // projections included
Work MakeLinear(const nlohmann::json& spec);     // one projection

// Makes the work of the kind spec["kind"].
Work MakeWork(const nlohmann::json& spec);

// The most bytes of heap that a fresh executor of one worker holds, beyond the operands, while
// it runs the case.
int64_t WorkingBytes(const nlohmann::json& spec);

// Normally distributed numbers that depend on the seed alone.
std::vector<float> Normal(int64_t count, float scale, uint32_t seed);

// Reads spec["type"]: "f32" or "bf16".
DataType TypeOf(const nlohmann::json& spec);

// Reads spec["matmul"], the engine that computes projections; "auto" if it is absent.
MatmulChoice ReadMatmul(const nlohmann::json& spec);

// sqrt(sum (got - truth)^2 / sum truth^2), accumulated over several calls.
class RelativeError {
 public:
  void Add(double got, double truth);
  double Value() const;

 private:
  double difference_ = 0, norm_ = 0;
};

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_KERNELS_WORK_H_
