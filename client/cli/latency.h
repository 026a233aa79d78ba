// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_LATENCY_H_
#define ATTEND_CLIENT_CLI_LATENCY_H_

#include <string>

#include "absl/time/time.h"

namespace attend::cli {

// "1.23 ms": three significant digits and a unit that suits.
std::string FormatLatency(absl::Duration duration);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_LATENCY_H_
