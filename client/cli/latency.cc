// SPDX-License-Identifier: Apache-2.0
#include "client/cli/latency.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace attend::cli {

std::string FormatLatency(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const auto [value, unit] = seconds < 1e-3 ? std::pair(seconds * 1e6, "us")
                             : seconds < 1  ? std::pair(seconds * 1e3, "ms")
                                            : std::pair(seconds, "s");
  const int digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return absl::StrFormat("%.*f %s", digits, value, unit);
}

}  // namespace attend::cli
