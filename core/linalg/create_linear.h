// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_CREATE_LINEAR_H_
#define ATTEND_CORE_LINALG_CREATE_LINEAR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/linalg/linear.h"

namespace attend {

// Makes a linear layer computed by the engine that ChooseLinearEngine names for this CPU.
// `weight` has outputs * inputs elements, `bias` has outputs or none; both are copied.
// FAILED_PRECONDITION if this CPU cannot compute in the type.
absl::StatusOr<std::unique_ptr<const Linear>> CreateLinear(const LinearConfig& config,
                                                           absl::Span<const float> weight,
                                                           absl::Span<const float> bias);

}  // namespace attend

#endif  // ATTEND_CORE_LINALG_CREATE_LINEAR_H_
