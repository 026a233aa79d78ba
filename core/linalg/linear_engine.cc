// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/linear_engine.h"

namespace attend {

absl::string_view Name(MatmulChoice choice) {
  for (const auto& [name, value] : kMatmulChoices) {
    if (value == choice) return name;
  }
  return "";
}

absl::string_view Name(LinearEngine engine) {
  return Name(engine == LinearEngine::kOneDnn ? MatmulChoice::kOneDnn : MatmulChoice::kPanels);
}

LinearEngine ChooseLinearEngine(DataType input_type, const CpuFeatures& cpu, MatmulChoice choice) {
  if (choice == MatmulChoice::kOneDnn) return LinearEngine::kOneDnn;
  if (choice == MatmulChoice::kPanels) return LinearEngine::kPanels;
  if (input_type == DataType::kBFloat16) {
    // Without bfloat16 instructions, oneDNN runs at a third of the speed of the panels, which
    // then compute in float32.
    return cpu.amx_bf16 || cpu.avx512_bf16 ? LinearEngine::kOneDnn : LinearEngine::kPanels;
  }
  if (cpu.avx512) return LinearEngine::kOneDnn;
  // With AVX2, oneDNN does not lay its weights out as panels read them, and computes few rows at
  // a quarter to four fifths of the panels' speed. Below AVX2, the panels are the compiler's
  // baseline, at a third of oneDNN's speed.
  return cpu.avx2 ? LinearEngine::kPanels : LinearEngine::kOneDnn;
}

}  // namespace attend
