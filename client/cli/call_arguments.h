// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_CALL_ARGUMENTS_H_
#define ATTEND_CLIENT_CLI_CALL_ARGUMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "attend/attention.h"
#include "client/cli/args.h"
#include "client/cli/command.h"

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
  std::string dtype;
  std::vector<int64_t> query_lengths, key_lengths;
  client::AttentionOptions options;  // without tensors
  std::string alignment_name, weights_name, stage_name, layout_name, priority_name;
  std::string output, weights_output, log_sum_exp_output;

  client::Layout layout = client::Layout::kBlhd;
  client::Priority priority = client::Priority::kNormal;

  void AddTo(Args& args);

  // Checks what is independent of files and turns names into choices.
  // INVALID_ARGUMENT, ready to be printed.
  absl::Status Resolve();
};

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_CALL_ARGUMENTS_H_
