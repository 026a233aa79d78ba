// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "client/cli/terminal.h"
#include "google/protobuf/descriptor.h"

namespace attend::cli {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

// One row per limit of the contract: a name that ends with _ms is shown as a duration.
void AddLimits(const v1::Limits& limits, Rows& rows) {
  const google::protobuf::Descriptor& type = *v1::Limits::descriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor* field = type.field(i);
    const int64_t value = v1::Limits::GetReflection()->GetInt64(limits, field);
    absl::string_view name = field->name();
    const bool is_time = absl::ConsumeSuffix(&name, "_ms");
    rows.emplace_back(
        absl::StrReplaceAll(name, {{"_", " "}}),
        is_time ? absl::FormatDuration(absl::Milliseconds(value)) : absl::StrCat(value));
  }
}

}  // namespace

int RunInfo(const std::vector<std::string>& arguments) {
  Connection connection;
  bool json = false;
  Args args("attend info [OPTIONS]", "Prints the server's version, revision, workers and limits.");
  args.Switch("json", "Print all that the server tells of itself, as JSON.", &json);
  connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, nullptr, 0)) return *exit;
  const auto client = connection.Connect();
  if (!client.ok()) return ReportConnect(client.status());
  const auto info = (*client)->GetServerInfo(connection.call_options());
  if (!info.ok()) return ReportCall(**client, connection, info.status());
  if (json) return PrintJson(*info);
  const absl::Time start = absl::FromUnixSeconds(info->start_time().seconds());
  Rows rows = {{"version", info->version()},
               {"revision", info->revision()},
               {"serving since", absl::FormatTime(absl::RFC3339_sec, start, absl::UTCTimeZone())},
               {"workers", absl::StrCat(info->workers())},
               {"cpu features", absl::StrJoin(info->cpu_features(), " ")}};
  AddLimits(info->limits(), rows);
  for (const auto& [name, value] : rows) Print(stdout, "%-22s  %s\n", name, value);
  return kOk;
}

}  // namespace attend::cli
