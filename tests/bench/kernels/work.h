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

// One thing to time, with its operands in memory.
struct Work {
  double flops = 0;  // of one run
  double bytes = 0;  // that one run must read: keys and values, or weights
  double tokens = 0;
  bool bfloat16 = false;  // which peak it is held against
  std::function<void(ExecutionContext&)> run;
  // Error of the last result against double, relative to its norm.
  std::function<double()> error;
  double max_error = 0;
};

// Each from its part of a case as the driver sends it (rows.py says what a case
// may hold). Where a case asks for `copies`, runs go round that many copies of
// what is read, so that none finds it in a cache. Throws std::exception where a
// case makes no sense.
Work MakeAttention(const nlohmann::json& spec);  // the operator
Work MakeLayer(const nlohmann::json& spec);      // projections included
Work MakeLinear(const nlohmann::json& spec);     // one projection

// By spec["kind"].
Work MakeWork(const nlohmann::json& spec);

// Most bytes of heap that a fresh executor of one worker holds, beyond the
// operands, while it runs the case.
int64_t WorkingBytes(const nlohmann::json& spec);

// Normally distributed numbers that depend on the seed alone.
std::vector<float> Normal(int64_t count, float scale, uint32_t seed);

// spec["type"]: "f32" or "bf16".
DataType TypeOf(const nlohmann::json& spec);

// spec["matmul"], "auto" where it is absent: what computes projections.
MatmulChoice ReadMatmul(const nlohmann::json& spec);

// sqrt(sum (got - truth)^2 / sum truth^2), added up bit by bit.
class RelativeError {
 public:
  void Add(double got, double truth);
  double Value() const;

 private:
  double difference_ = 0, norm_ = 0;
};

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_KERNELS_WORK_H_
