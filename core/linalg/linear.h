#ifndef ATTEND_CORE_LINALG_LINEAR_H_
#define ATTEND_CORE_LINALG_LINEAR_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/tensor/tensor.h"

namespace attend {

struct LinearConfig {
  int64_t inputs = 0;                         // >= 1
  int64_t outputs = 0;                        // >= 1
  DataType input_type = DataType::kFloat32;   // of x and W: kFloat32 or kBFloat16
  DataType output_type = DataType::kFloat32;  // of y: kFloat32, or kBFloat16 with that input
};

// y = x W^T + b over rows: x [rows, inputs], y [rows, outputs], both contiguous;
// W [outputs, inputs]. Sums are float32. The weights are packed for this CPU
// once, when it is made.
//
// A matmul library may take another code path for one row than for many and
// then give a row other bits. Here rows are cut into blocks of sizes that were
// tried out on these very weights, when it was made, and gave every row the
// same bits in every position. So a row's result depends on that row alone.
//
// Immutable, thread-safe. The one place, with its .cc, that talks to oneDNN.
class Linear {
 public:
  // `weight` has outputs * inputs elements, `bias` has outputs or none.
  // FAILED_PRECONDITION where this CPU cannot compute in the type.
  static absl::StatusOr<std::unique_ptr<const Linear>> Create(const LinearConfig& config,
                                                              absl::Span<const float> weight,
                                                              absl::Span<const float> bias);
  virtual ~Linear() = default;

  virtual const LinearConfig& config() const = 0;

  // Rows that x and y must have room for when `rows` are computed: the last
  // block may be larger than what is left. What y holds past `rows` is
  // unspecified; what x holds there must be initialised.
  virtual int64_t PaddedRows(int64_t rows) const = 0;

  // The work on `rows` in independent tasks, each a block of rows times some of
  // the outputs. Tasks with neighbouring numbers share weights in the cache.
  virtual int64_t NumTasks(int64_t rows) const = 0;

  // Runs one of them on the calling thread.
  virtual void RunTask(int64_t task, int64_t rows, const std::byte* x, std::byte* y) const = 0;

  // Sizes of row blocks in use, descending; for tests and benchmarks.
  virtual absl::Span<const int64_t> block_sizes() const = 0;
};

}  // namespace attend

#endif  // ATTEND_CORE_LINALG_LINEAR_H_
