// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_RANDOM_TENSOR_H_
#define ATTEND_CLIENT_CLI_RANDOM_TENSOR_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/arrays.h"

namespace attend::cli {

// "1x16x768". At most 2^31 elements.
absl::StatusOr<client::Shape> ParseShape(absl::string_view text);

// float32, uniform in [-1, 1); the same for the same seed on every machine.
Tensor RandomTensor(const client::Shape& shape, uint64_t seed);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_RANDOM_TENSOR_H_
