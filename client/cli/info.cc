// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "client/cli/terminal.h"

namespace attend::cli {

int RunInfo(const std::vector<std::string>& arguments) {
  Connection connection;
  bool json = false;
  Args args("attend info [OPTIONS]", "Prints the server's version, workers and limits.");
  args.Switch("json", "Print all that the server tells of itself, as JSON.", &json);
  connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, nullptr, 0)) return *exit;
  const auto client = connection.Connect();
  if (!client.ok()) return ReportConnect(client.status());
  const auto info = (*client)->GetServerInfo(connection.call_options());
  if (!info.ok()) return ReportCall(**client, connection, info.status());
  if (json) return PrintJson(*info);
  const v1::Limits& limits = info->limits();
  const absl::Time start = absl::FromUnixSeconds(info->start_time().seconds());
  const auto deadline = absl::Milliseconds(limits.max_deadline_ms());
  const std::vector<std::pair<absl::string_view, std::string>> rows = {
      {"version", info->version()},
      {"serving since", absl::FormatTime(absl::RFC3339_sec, start, absl::UTCTimeZone())},
      {"workers", absl::StrCat(info->workers())},
      {"cpu features", absl::StrJoin(info->cpu_features(), " ")},
      {"max request bytes", absl::StrCat(limits.max_request_bytes())},
      {"max in-flight bytes", absl::StrCat(limits.max_in_flight_bytes())},
      {"max queue requests", absl::StrCat(limits.max_queue_requests())},
      {"max sequence length", absl::StrCat(limits.max_sequence_length())},
      {"max rows", absl::StrCat(limits.max_rows())},
      {"max sequences", absl::StrCat(limits.max_sequences())},
      {"max heads", absl::StrCat(limits.max_heads())},
      {"max head dim", absl::StrCat(limits.max_head_dim())},
      {"max layer name bytes", absl::StrCat(limits.max_layer_name_bytes())},
      {"max weights bytes", absl::StrCat(limits.max_weights_bytes())},
      {"max response bytes", absl::StrCat(limits.max_response_bytes())},
      {"max request compute",
       absl::FormatDuration(absl::Milliseconds(limits.max_request_compute_ms()))},
      {"max deadline", absl::FormatDuration(deadline)},
      {"max concurrent streams", absl::StrCat(limits.max_concurrent_streams())},
      {"max calls", absl::StrCat(limits.max_calls())},
      {"max caller calls", absl::StrCat(limits.max_caller_calls())}};
  for (const auto& [name, value] : rows) Print(stdout, "%-22s  %s\n", name, value);
  return kOk;
}

}  // namespace attend::cli
