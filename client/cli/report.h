// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_REPORT_H_
#define ATTEND_CLIENT_CLI_REPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "client/cli/load.h"

namespace attend::cli {

// What was measured, beside the result.
struct BenchSetting {
  std::string server_version;
  std::vector<std::string> cpu_features;
  std::string target;     // a layer's name, or "operator"
  std::string mode;       // "closed" or "open"
  std::string request;    // "1 x 16 tokens of 768, float32"
  int64_t request_bytes;  // on the wire, mean
  LoadPlan plan;
};

// For people.
std::string ReportText(const BenchSetting& setting, const LoadResult& result);

// For programs: latencies in milliseconds.
std::string ReportJson(const BenchSetting& setting, const LoadResult& result);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_REPORT_H_
