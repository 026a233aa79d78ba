// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SUPPORT_MATMUL_FROM_ENVIRONMENT_H_
#define ATTEND_TESTS_SUPPORT_MATMUL_FROM_ENVIRONMENT_H_

#include <cstdlib>
#include <utility>

#include "absl/strings/string_view.h"
#include "core/layer/layer.h"

namespace attend {

// The engine that ATTEND_MATMUL names, the server's own variable, so that a test's layers can be
// computed by either engine. Aborts on a word that names none.
inline MatmulChoice MatmulFromEnvironment() {
  const char* const text = std::getenv("ATTEND_MATMUL");
  if (text == nullptr) return MatmulChoice::kAuto;
  for (const auto& [name, choice] : kMatmulChoices) {
    if (name == text) return choice;
  }
  std::abort();
}

inline LayerConfig WithMatmulFromEnvironment(LayerConfig config) {
  config.matmul = MatmulFromEnvironment();
  return config;
}

}  // namespace attend

#endif  // ATTEND_TESTS_SUPPORT_MATMUL_FROM_ENVIRONMENT_H_
