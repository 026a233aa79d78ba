#ifndef ATTEND_CORE_LINALG_CREATE_LINEAR_H_
#define ATTEND_CORE_LINALG_CREATE_LINEAR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/linalg/linear.h"
#include "core/simd/cpu.h"
#include "core/tensor/tensor.h"

namespace attend {

// Makes a linear layer that computes by our own kernel or by oneDNN, whichever is faster on this
// CPU in this type. `weight` has outputs * inputs elements, `bias` has outputs or none; both are
// copied. FAILED_PRECONDITION if this CPU cannot compute in the type.
absl::StatusOr<std::unique_ptr<const Linear>> CreateLinear(const LinearConfig& config,
                                                           absl::Span<const float> weight,
                                                           absl::Span<const float> bias);

namespace internal {

// Whether CreateLinear takes oneDNN.
bool PrefersOneDnn(DataType input_type, const CpuFeatures& cpu);

}  // namespace internal
}  // namespace attend

#endif  // ATTEND_CORE_LINALG_CREATE_LINEAR_H_
