// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_CALL_RESULT_H_
#define ATTEND_CLIENT_CLI_CALL_RESULT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attend/attention.h"
#include "client/cli/call_arguments.h"
#include "nlohmann/json.hpp"

namespace attend::cli {

// Where each tensor of a response was written: FILE, or FILE#TENSOR in a .safetensors file.
struct WrittenFiles {
  std::vector<std::string> output, weights, log_sum_exp;
};

// Writes what the arguments ask for. On an error `written` holds the files that were complete.
absl::Status WriteResults(const CallArguments& to, const client::AttentionResponse& response,
                          WrittenFiles* written);

// What is printed of a call.
struct CallReport {
  std::string layer;    // empty: the operator
  absl::Duration took;  // as the caller saw it
  const client::AttentionResponse& response;
  WrittenFiles written;
};

// For people; without the warnings.
std::string ReportText(const CallReport& report);

// For programs, with the names of AttentionResponse in the contract. Values of tensors are in
// files; here is a summary of the finite ones, and the first eight, which bounds its size.
nlohmann::ordered_json ReportJson(const CallReport& report);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_CALL_RESULT_H_
