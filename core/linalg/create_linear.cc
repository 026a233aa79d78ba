#include "core/linalg/create_linear.h"

#include "core/linalg/onednn_linear.h"
#include "core/linalg/panel_linear.h"

namespace attend {
namespace internal {

// Measured with oneDNN 2.6.3 on Zen 5, one thread, 768 x 768 (docs/decisions/0009):
// - bfloat16 with AMX: oneDNN's tiles give four times what vdpbf16ps can.
// - bfloat16 without: oneDNN reaches 52 to 75 % of the peak, the panels 88 to 95 %; and
//   where vdpbf16ps is missing too, 26 % of the float32 peak against 85 %.
// - float32 from AVX2 on: one row runs at twice oneDNN's bandwidth with AVX-512 and 1.6
//   times with AVX2, 16 rows 1.2 times as fast, many rows as fast or faster.
// - float32 below: oneDNN has code for SSE4.1 and AVX, the panels are the compiler's
//   baseline there, a third as fast.
bool PrefersOneDnn(DataType input_type, const CpuFeatures& cpu) {
  return input_type == DataType::kBFloat16 ? cpu.amx_bf16 : !cpu.avx2;
}

}  // namespace internal

absl::StatusOr<std::unique_ptr<const Linear>> CreateLinear(const LinearConfig& config,
                                                           absl::Span<const float> weight,
                                                           absl::Span<const float> bias) {
  const CpuFeatures& cpu = GetCpuFeatures();
  if (config.input_type == DataType::kBFloat16 && !cpu.avx512) {
    return absl::FailedPreconditionError(
        "computing in bfloat16 needs a CPU with AVX-512, which this one does not have");
  }
  if (internal::PrefersOneDnn(config.input_type, cpu)) {
    return internal::OneDnnLinear::Create(config, weight, bias);
  }
  return std::make_unique<const internal::PanelLinear>(config, weight, bias);
}

}  // namespace attend
