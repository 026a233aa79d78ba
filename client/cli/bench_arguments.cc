// SPDX-License-Identifier: Apache-2.0
#include "client/cli/bench_arguments.h"

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/choice.h"

namespace attend::cli {
namespace {

absl::Status CheckRange(absl::string_view name, int64_t value, int64_t max) {
  if (value >= 1 && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, " must be 1 to ", max, ", got ", value));
}

}  // namespace

void BenchArguments::AddTo(Args& args) {
  connection.timeout = absl::Seconds(10);
  connection.max_attempts = 1;
  plan.warmup = absl::Seconds(1);
  plan.duration = absl::Seconds(10);
  args.Section("Load");
  args.Option("concurrency", "N", "Closed loop: N requests are always under way. Default: 1.",
              &plan.concurrency);
  args.Option("rate", "X",
              "Open loop: X requests per second are sent when they are planned, and "
              "latency counts from then, whatever became of the others.",
              &plan.rate);
  args.Switch("poisson", "Put random gaps between the requests of --rate.", &plan.poisson);
  args.Option("max-under-way", "N",
              "With --rate: do not send a request that is planned while N others have no "
              "answer yet. Default: 10000.",
              &plan.max_under_way);
  args.Option("duration", "TIME", "Measure for this long. Default: 10s.", &plan.duration);
  args.Option("warmup", "TIME", "Send load for this long before measuring. Default: 1s.",
              &plan.warmup);
  args.Option("channels", "N",
              "Use N connections. One carries at most the server's max concurrent streams "
              "(attend info) at a time; more requests wait on this side. Default: 1.",
              &connection.channels);
  args.Section("Requests, with random values");
  args.Option("layer", "NAME", "Call this layer. Default: the server's only one.", &layer);
  args.Switch("operator", "Call scaled dot-product attention instead of a layer.", &use_operator);
  args.Option("heads", "H", "Number of query heads of the operator. Default: 12.", &heads);
  args.Option("kv-heads", "H",
              "Number of key and value heads of the operator. Default: that of --heads.",
              &kv_heads);
  args.Option("head-dim", "D", "Width of a head of the operator. Default: 64.", &head_dim);
  args.Option("batch", "B", "Number of sequences per request. Default: 1.", &batch);
  args.Option("tokens", "N|MIN..MAX",
              "Number of rows per sequence. A range means random lengths, sent packed. "
              "Default: 16.",
              &tokens);
  args.Option("dtype", "TYPE", "Send float32 (the default), bfloat16 or float16.", &type_name);
  args.Switch("causal", "Each row attends only to keys at or before its position.", &causal);
  args.Option("priority", "high|normal|low", "Priority of every request. Default: normal.",
              &priority_name);
  args.Section("Output");
  args.Switch("check", "Count an answer as wrong if its bits differ from the first of its request.",
              &plan.check);
  args.Option("json", "FILE",
              "Also write the report as JSON. With - it goes to standard output, and the "
              "report for people to standard error.",
              &json);
  args.Switch("quiet", "Print no progress on standard error.", &quiet);
}

absl::Status BenchArguments::CheckNumbers(const Args& args) {
  absl::Status status;
  status.Update(CheckRange("concurrency", plan.concurrency, 100000));
  status.Update(CheckRange("max-under-way", plan.max_under_way, 10000000));
  status.Update(CheckRange("batch", batch, 1 << 20));
  status.Update(CheckRange("heads", heads, 1 << 16));
  status.Update(CheckRange("head-dim", head_dim, 1 << 16));
  if (args.Given("kv-heads")) status.Update(CheckRange("kv-heads", kv_heads, 1 << 16));
  if (kv_heads == 0) kv_heads = heads;
  if (args.Given("rate") && !(plan.rate > 0 && plan.rate <= 1e6)) {
    status.Update(absl::InvalidArgumentError("--rate must be above 0 and at most 1000000"));
  }
  if (plan.duration < absl::Milliseconds(1)) {
    status.Update(absl::InvalidArgumentError("--duration must be at least 1ms"));
  }
  return status;
}

absl::Status BenchArguments::CheckCombinations(const Args& args) const {
  if (args.Given("rate") && args.Given("concurrency")) {
    return absl::InvalidArgumentError("--rate and --concurrency exclude each other");
  }
  for (const char* name : {"poisson", "max-under-way"}) {
    if (args.Given(name) && !args.Given("rate")) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " needs --rate"));
    }
  }
  for (const char* name : {"heads", "kv-heads", "head-dim"}) {
    if (args.Given(name) && !use_operator) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " needs --operator"));
    }
  }
  if (!layer.empty() && use_operator) {
    return absl::InvalidArgumentError("--layer and --operator exclude each other");
  }
  return absl::OkStatus();
}

absl::Status BenchArguments::ReadTokens() {
  const std::vector<std::string> ends = absl::StrSplit(tokens, "..");
  if (ends.size() > 2 || !absl::SimpleAtoi(ends[0], &min_tokens) ||
      !absl::SimpleAtoi(ends.back(), &max_tokens) || min_tokens < 1 || max_tokens < min_tokens ||
      max_tokens > int64_t{1} << 24) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tokens must be N or MIN..MAX, got \"", tokens, "\""));
  }
  return absl::OkStatus();
}

absl::Status BenchArguments::Resolve(const Args& args) {
  absl::Status status = CheckNumbers(args);
  status.Update(CheckCombinations(args));
  status.Update(ChoosePriority(priority_name, &priority));
  status.Update(ReadTokens());
  const absl::StatusOr<client::DataType> parsed = ParseDataType(type_name);
  status.Update(parsed.status());
  if (parsed.ok()) type = *parsed;
  return status;
}

}  // namespace attend::cli
