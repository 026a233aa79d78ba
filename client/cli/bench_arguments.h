// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_BENCH_ARGUMENTS_H_
#define ATTEND_CLIENT_CLI_BENCH_ARGUMENTS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "attend/attention.h"
#include "attend/data_type.h"
#include "client/cli/args.h"
#include "client/cli/command.h"
#include "client/cli/load.h"

namespace attend::cli {

// What `attend bench` was given.
struct BenchArguments {
  Connection connection;
  std::string layer;
  bool use_operator = false;
  int64_t heads = 12, kv_heads = 0, head_dim = 64;
  int64_t batch = 1;
  std::string tokens = "16";
  std::string type_name = "float32";
  bool causal = false;
  std::string priority_name;
  LoadPlan plan;
  std::string json;
  bool quiet = false;

  // Set by Resolve.
  client::Priority priority = client::Priority::kNormal;
  client::DataType type = client::DataType::kFloat32;
  int64_t min_tokens = 0, max_tokens = 0;

  void AddTo(Args& args);

  // Checks what was parsed into `args` and turns names into choices. INVALID_ARGUMENT, ready to be
  // printed.
  absl::Status Resolve(const Args& args);

 private:
  absl::Status CheckNumbers(const Args& args);
  absl::Status CheckCombinations(const Args& args) const;
  absl::Status ReadTokens();
};

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_BENCH_ARGUMENTS_H_
