// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <csignal>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/bench_arguments.h"
#include "client/cli/command.h"
#include "client/cli/files.h"
#include "client/cli/latency.h"
#include "client/cli/load.h"
#include "client/cli/report.h"
#include "client/cli/sample_maker.h"
#include "client/cli/standard_streams.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

void PrintProgress(const LoadProgress& progress) {
  Print(stderr, "%6.1f s %s %8.1f/s  p50 %s  p99 %s  %d failed  %d under way\n",
        absl::ToDoubleSeconds(progress.elapsed), progress.warming_up ? "warm-up " : "measured",
        static_cast<double>(progress.good) / absl::ToDoubleSeconds(progress.since_last),
        FormatLatency(progress.p50), FormatLatency(progress.p99), progress.failed,
        progress.under_way);
}

// What the report says of the load.
void DescribeLoad(const BenchArguments& from, const v1::LayerInfo& layer,
                  const std::vector<Sample>& samples, BenchSetting* setting) {
  setting->plan = from.plan;
  setting->mode = from.plan.rate > 0 ? "open" : "closed";
  setting->target = from.use_operator ? "operator" : layer.name();
  setting->request = absl::StrCat(
      from.batch, " x ", from.tokens, " tokens of ",
      from.use_operator ? absl::StrCat(from.heads, "/", from.kv_heads, " heads of ", from.head_dim)
                        : absl::StrCat(layer.embed_dim()),
      ", ", from.type_name, from.causal ? ", causal" : "");
  int64_t bytes = 0;
  for (const Sample& sample : samples) bytes += static_cast<int64_t>(sample.request.size_bytes());
  setting->request_bytes = bytes / static_cast<int64_t>(samples.size());
}

// Prints the warnings that are not among those shown, and adds them.
template <typename Warnings>
void PrintNewWarnings(const Warnings& warnings, std::set<std::string>* shown) {
  for (const std::string& warning : warnings) {
    if (shown->insert(warning).second) Print(stderr, "warning: %s\n", warning);
  }
}

std::atomic<bool> stop_asked = false;
void AskToStop(int) {
  stop_asked = true;
  std::signal(SIGINT, SIG_DFL);  // a second Ctrl-C ends the program
}

}  // namespace

int RunBench(const std::vector<std::string>& arguments) {
  BenchArguments from;
  Args args("attend bench [--concurrency=N | --rate=X] [OPTIONS]",
            "Sends load, and reports throughput and latency. Ctrl-C ends it early, with a\n"
            "report. Exit code 1 also means that no answer was good or that one was wrong.");
  from.AddTo(args);
  from.connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, nullptr, 0)) return *exit;
  if (absl::Status s = from.Resolve(args); !s.ok()) return ReportUsage(s.message());
  const auto client = from.connection.Connect();
  if (!client.ok()) return ReportConnect(client.status());
  const client::CallOptions options = from.connection.call_options();
  from.plan.call = options;
  from.plan.call.on_attempt = nullptr;  // --verbose is for the calls before the load

  BenchSetting setting;
  const auto info = (*client)->GetServerInfo(options);
  if (!info.ok()) return ReportCall(**client, from.connection, info.status());
  setting.server_version = info->version();
  setting.cpu_features.assign(info->cpu_features().begin(), info->cpu_features().end());
  v1::LayerInfo layer;
  if (!from.use_operator) {
    absl::StatusOr<v1::LayerInfo> found = FindLayer(**client, from.layer, options);
    if (!found.ok()) return ReportCall(**client, from.connection, found.status());
    layer = *std::move(found);
  }
  const absl::StatusOr<std::vector<Sample>> samples = SampleMaker(from, layer).Make();
  if (!samples.ok()) return ReportUsage(samples.status().message());
  // Once before the load: a request that the server refuses ends here, with its reason.
  const auto first = (*client)->Call(samples->front().request, options);
  if (!first.ok()) return ReportCall(**client, from.connection, first.status());
  std::set<std::string> warnings;
  PrintNewWarnings(first->warnings, &warnings);

  DescribeLoad(from, layer, *samples, &setting);

  std::signal(SIGINT, AskToStop);
  Load load(**client, *samples, from.plan);
  const LoadResult result = load.Run(
      [&](const LoadProgress& progress) {
        if (!from.quiet) PrintProgress(progress);
      },
      stop_asked);
  PrintNewWarnings(result.warnings, &warnings);
  // With --json=- the JSON alone is on standard output.
  WriteText(IsStandardStream(from.json) ? stderr : stdout, ReportText(setting, result));
  if (!from.json.empty()) {
    const std::string text = ReportJson(setting, result);
    if (absl::Status s = WriteFile(from.json, {text}); !s.ok()) {
      return ReportNotWritten(s);
    }
  }
  return result.good.count() > 0 && result.wrong == 0 ? kOk : kFailed;
}

}  // namespace attend::cli
