// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_LINEAR_ENGINE_H_
#define ATTEND_CORE_LINALG_LINEAR_ENGINE_H_

#include <utility>

#include "absl/strings/string_view.h"
#include "core/simd/cpu.h"
#include "core/tensor/tensor.h"

namespace attend {

// The engines that compute the matmuls of linear layers.
enum class LinearEngine { kOneDnn, kPanels };

// The engines that a layer may request. kAuto leaves the choice to ChooseLinearEngine.
enum class MatmulChoice { kAuto, kOneDnn, kPanels };

inline constexpr std::pair<absl::string_view, MatmulChoice> kMatmulChoices[] = {
    {"auto", MatmulChoice::kAuto},
    {"onednn", MatmulChoice::kOneDnn},
    {"panels", MatmulChoice::kPanels}};

// The name of a choice or of an engine, as in kMatmulChoices.
absl::string_view Name(MatmulChoice choice);
absl::string_view Name(LinearEngine engine);

// The engine for matmuls of `input_type` on a CPU with these features
// (docs/decisions/0009 has the measurements). Depends on its arguments alone.
LinearEngine ChooseLinearEngine(DataType input_type, const CpuFeatures& cpu, MatmulChoice choice);

}  // namespace attend

#endif  // ATTEND_CORE_LINALG_LINEAR_ENGINE_H_
