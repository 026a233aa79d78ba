// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_CALL_INPUTS_H_
#define ATTEND_CLIENT_CLI_CALL_INPUTS_H_

#include "absl/status/status.h"
#include "client/cli/arrays.h"
#include "client/cli/call_arguments.h"

namespace attend::cli {

// The tensors of one call; empty (data() is nullptr): not given. They must outlive the request that
// views them.
struct CallInputs {
  Tensor query, key, value, mask, bias, alibi_slopes;
};

// Reads the files or makes random tensors, as the arguments say, which must be resolved. Errors are
// ready to be printed: INVALID_ARGUMENT, or those of files.
absl::Status ReadInputs(const CallArguments& from, CallInputs* inputs);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_CALL_INPUTS_H_
