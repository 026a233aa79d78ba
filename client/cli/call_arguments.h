// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_CALL_ARGUMENTS_H_
#define ATTEND_CLIENT_CLI_CALL_ARGUMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "attend/attention.h"
#include "client/cli/args.h"
#include "client/cli/arrays.h"
#include "client/cli/connection.h"

namespace attend::cli {

// What `attend call` was given.
struct CallArguments {
  Connection connection;
  std::string layer;
  bool use_operator = false;
  std::string input;
  std::string query, key, value, mask, bias, alibi_slopes;
  std::string random;
  int64_t seed = 1;
  std::string type_name;
  std::vector<int64_t> query_lengths, key_lengths;
  client::AttentionOptions options;  // without tensors
  std::string alignment_name, weights_name, stage_name, layout_name, priority_name, format_name;
  std::string output, weights_output, log_sum_exp_output;
  bool json = false;

  // Set by Resolve.
  client::Layout layout = client::Layout::kBlhd;
  client::Priority priority = client::Priority::kNormal;
  ArrayFormat stdout_format = ArrayFormat::kNpy;

  void AddTo(Args& args);

  // Checks what is independent of the contents of files and turns names into choices.
  // INVALID_ARGUMENT, ready to be printed.
  absl::Status Resolve();

  // Whether an array goes to standard output.
  bool WritesStandardOutput() const;

 private:
  void AddInputs(Args& args);
  void AddOptions(Args& args);
  void AddOutputs(Args& args);
  absl::Status ResolveNames();
  absl::Status CheckCombinations() const;
  absl::Status CheckOutputNames() const;
  absl::Status CheckStandardStreams() const;
};

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_CALL_ARGUMENTS_H_
