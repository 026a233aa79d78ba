#ifndef ATTEND_CORE_LINALG_ONEDNN_LINEAR_H_
#define ATTEND_CORE_LINALG_ONEDNN_LINEAR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "core/linalg/linear.h"

namespace attend::internal {

// oneDNN's matmul behind Linear.
//
// oneDNN may take another code path for one row than for many and then give a row other
// bits. So it computes blocks of rows of sizes that are verified on these weights at load
// time: they give every row the same bits in every position. Rows that are not adjacent in
// memory, and the last block where fewer rows are left, are gathered into working memory,
// and their results copied out of it.
//
// FAILED_PRECONDITION where oneDNN cannot make the matmul.
absl::StatusOr<std::unique_ptr<const Linear>> MakeOneDnnLinear(const LinearConfig& config,
                                                               absl::Span<const float> weight,
                                                               absl::Span<const float> bias);

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_ONEDNN_LINEAR_H_
