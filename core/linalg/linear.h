// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_LINEAR_H_
#define ATTEND_CORE_LINALG_LINEAR_H_

#include <cstddef>
#include <cstdint>

#include "core/base/arena.h"
#include "core/linalg/linear_engine.h"
#include "core/tensor/tensor.h"

namespace attend {

struct LinearConfig {
  int64_t inputs = 0;                        // >= 1
  int64_t outputs = 0;                       // >= 1
  DataType input_type = DataType::kFloat32;  // type of x and W: kFloat32 or kBFloat16
  MatmulChoice matmul = MatmulChoice::kAuto;
};

// The rows of one call. Each row is contiguous and may lie anywhere in memory, aligned to its
// elements. Rows need not follow each other in memory, but if they do, oneDNN needs no copy.
struct LinearBatch {
  int64_t rows = 0;
  const std::byte* const* x = nullptr;        // [rows], each `inputs` elements of input_type
  std::byte* const* y = nullptr;              // [rows], each `outputs` elements of output_type
  DataType output_type = DataType::kFloat32;  // kFloat32 or kBFloat16
};

// y = x W^T + b for each row x, with W [outputs, inputs]. Sums are float32; a bfloat16 output is
// the float32 one, rounded to nearest even. A row's bits depend on that row alone, neither on
// the rows beside it nor on its place.
//
// Weights are packed for this CPU once, when CreateLinear makes the layer. Immutable,
// thread-safe.
class Linear {
 public:
  virtual ~Linear() = default;

  virtual const LinearConfig& config() const = 0;

  // The number of independent tasks that `rows` rows are divided into. Each task computes a
  // range of the outputs for a block of rows. Tasks with neighbouring numbers share memory in
  // the cache.
  virtual int64_t NumTasks(int64_t rows) const = 0;

  // Runs one task of NumTasks(batch.rows) on the calling thread, with working memory from
  // `arena`. Reads and writes only rows of the batch.
  virtual void Run(int64_t task, const LinearBatch& batch, Arena& arena) const = 0;
};

}  // namespace attend

#endif  // ATTEND_CORE_LINALG_LINEAR_H_
