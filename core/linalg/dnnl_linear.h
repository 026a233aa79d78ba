#ifndef ATTEND_CORE_LINALG_DNNL_LINEAR_H_
#define ATTEND_CORE_LINALG_DNNL_LINEAR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "core/linalg/linear.h"

namespace attend::internal {

// oneDNN's matmul behind Linear.
//
// It may take another code path for one row than for many and then give a row other
// bits. So rows are cut into blocks of sizes that were tried out on these very weights,
// when it was made, and gave every row the same bits in every position; a last block
// may be larger than what is left.
//
// FAILED_PRECONDITION where oneDNN cannot make the matmul.
absl::StatusOr<std::unique_ptr<const Linear>> MakeDnnlLinear(const LinearConfig& config,
                                                             absl::Span<const float> weight,
                                                             absl::Span<const float> bias);

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_DNNL_LINEAR_H_
