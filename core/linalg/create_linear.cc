// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/create_linear.h"

#include "core/linalg/onednn_linear.h"
#include "core/linalg/panel_linear.h"
#include "core/simd/cpu.h"

namespace attend {

absl::StatusOr<std::unique_ptr<const Linear>> CreateLinear(const LinearConfig& config,
                                                           absl::Span<const float> weight,
                                                           absl::Span<const float> bias) {
  const CpuFeatures& cpu = GetCpuFeatures();
  if (config.input_type == DataType::kBFloat16 && !cpu.avx512) {
    return absl::FailedPreconditionError(
        "computing in bfloat16 needs a CPU with AVX-512, which this one does not have");
  }
  if (ChooseLinearEngine(config.input_type, cpu, config.matmul) == LinearEngine::kOneDnn) {
    return internal::OneDnnLinear::Create(config, weight, bias);
  }
  return std::make_unique<const internal::PanelLinear>(config, weight, bias);
}

}  // namespace attend
