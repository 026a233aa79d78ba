#ifndef ATTEND_CORE_LINALG_LINEAR_H_
#define ATTEND_CORE_LINALG_LINEAR_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/simd/cpu.h"
#include "core/tensor/tensor.h"

namespace attend {

struct LinearConfig {
  int64_t inputs = 0;                         // >= 1
  int64_t outputs = 0;                        // >= 1
  DataType input_type = DataType::kFloat32;   // of x and W: kFloat32 or kBFloat16
  DataType output_type = DataType::kFloat32;  // of y: kFloat32, or kBFloat16 with that input
};

// Rows of x or y: each where `pointers` says, or, without, one after the other from `data`.
template <typename Byte>
struct LinearRows {
  Byte* data = nullptr;
  Byte* const* pointers = nullptr;
};

// y = x W^T + b over rows: x [rows, inputs], y [rows, outputs], both contiguous;
// W [outputs, inputs]. Sums are float32. The weights are packed for this CPU
// once, when it is made. A row's bits depend on that row alone, neither on the
// rows beside it nor on its place.
//
// Immutable, thread-safe.
class Linear {
 public:
  // By our own kernel or by oneDNN, whichever is faster on this CPU in this type.
  // `weight` has outputs * inputs elements, `bias` has outputs or none.
  // FAILED_PRECONDITION where this CPU cannot compute in the type.
  static absl::StatusOr<std::unique_ptr<const Linear>> Create(const LinearConfig& config,
                                                              absl::Span<const float> weight,
                                                              absl::Span<const float> bias);
  virtual ~Linear() = default;

  virtual const LinearConfig& config() const = 0;

  // Rows that x and y must have room for when `rows` are computed: a last block
  // of oneDNN's may be larger than what is left. What y holds past `rows` is
  // unspecified; what x holds there must be initialised.
  virtual int64_t PaddedRows(int64_t rows) const = 0;

  // The work on `rows` in independent tasks, each a block of rows times some of
  // the outputs. Tasks with neighbouring numbers share memory in the cache.
  virtual int64_t NumTasks(int64_t rows) const = 0;

  // Runs one of them on the calling thread.
  void RunTask(int64_t task, int64_t rows, const std::byte* x, std::byte* y) const {
    RunTaskOn(task, rows, {x}, {y}, config().output_type);
  }

  // The same, where Scatters, on rows given by pointer, and with an output_type of
  // kFloat32 or kBFloat16. Elsewhere there are no pointers, and it is the config's.
  virtual void RunTaskOn(int64_t task, int64_t rows, const LinearRows<const std::byte>& x,
                         const LinearRows<std::byte>& y, DataType output_type) const = 0;
  virtual bool Scatters() const = 0;
};

namespace internal {

// Which one Linear::Create takes.
bool PrefersDnnl(DataType input_type, const CpuFeatures& cpu);

}  // namespace internal
}  // namespace attend

#endif  // ATTEND_CORE_LINALG_LINEAR_H_
