// SPDX-License-Identifier: Apache-2.0
#include "client/cli/report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/cli/json.h"
#include "client/cli/latency.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::pair<const char*, double> kShares[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};

double PerSecond(int64_t count, absl::Duration time) {
  return static_cast<double>(count) / absl::ToDoubleSeconds(time);
}

// Zero where there is nothing to divide by.
double Mean(double sum, int64_t count) {
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

double BatchMean(const LoadResult& result) {
  double sum = 0;
  for (const auto& [size, count] : result.batch_requests) {
    sum += static_cast<double>(size) * static_cast<double>(count);
  }
  return Mean(sum, result.good.count());
}

int64_t BatchLargest(const LoadResult& result) {
  return result.batch_requests.empty() ? 0 : result.batch_requests.rbegin()->first;
}

ordered_json LatencyJson(const Histogram& histogram) {
  ordered_json json;
  json["count"] = histogram.count();
  json["mean"] = absl::ToDoubleMilliseconds(histogram.mean());
  for (const auto& [name, share] : kShares) {
    json[name] = absl::ToDoubleMilliseconds(histogram.Percentile(share));
  }
  json["max"] = absl::ToDoubleMilliseconds(histogram.max());
  return json;
}

void AppendLatency(std::string* text, const char* name, const Histogram& histogram) {
  AppendText(text, "%-12s", name);
  for (const auto& [share_name, share] : kShares) {
    absl::StrAppend(text, share_name, " ", FormatLatency(histogram.Percentile(share)), "  ");
  }
  absl::StrAppend(text, "max ", FormatLatency(histogram.max()), "\n");
}

}  // namespace

std::string ReportText(const BenchSetting& setting, const LoadResult& result) {
  const int64_t good = result.good.count();
  std::string text;
  AppendText(&text, "%-12s%s, %s (%d bytes), server %s\n", "load", setting.target, setting.request,
             setting.request_bytes, setting.server_version);
  if (setting.plan.rate > 0) {
    AppendText(&text, "%-12sopen loop, %.6g requests/s%s, %s\n", "", setting.plan.rate,
               setting.plan.poisson ? " (poisson)" : "", absl::FormatDuration(result.measured));
  } else {
    AppendText(&text, "%-12sclosed loop, %d under way, %s\n", "", setting.plan.concurrency,
               absl::FormatDuration(result.measured));
  }
  AppendText(&text, "%-12s%.1f requests/s  %.0f tokens/s\n", "throughput",
             PerSecond(result.answered, result.measured),
             PerSecond(result.tokens, result.measured));
  AppendLatency(&text, "latency", result.good);
  AppendText(&text, "%-12s%.1f requests and %.0f tokens on average, at most %d requests\n",
             "batches", BatchMean(result), Mean(static_cast<double>(result.batch_tokens), good),
             BatchLargest(result));
  AppendText(&text, "%-12squeue %s, compute %s on average; generator used %.0f%% of a CPU\n",
             "server", FormatLatency(good == 0 ? absl::ZeroDuration() : result.server_queue / good),
             FormatLatency(good == 0 ? absl::ZeroDuration() : result.server_compute / good),
             100 * result.cpu_share);
  if (result.errors.empty()) {
    AppendText(&text, "%-12snone\n", "errors");
  } else {
    AppendLatency(&text, "failed in", result.failed);
    for (const auto& [code, count] : result.errors) {
      AppendText(&text, "  %d x %s: %s\n", count, code, result.error_texts.at(code));
    }
  }
  if (result.unsent > 0) {
    AppendText(&text, "%-12s%d (already %d under way)\n", "not sent", result.unsent,
               setting.plan.max_under_way);
  }
  if (result.wrong > 0) {
    AppendText(&text, "%-12s%d answers of another shape or with changed bits\n", "WRONG",
               result.wrong);
  }
  return text;
}

std::string ReportJson(const BenchSetting& setting, const LoadResult& result) {
  const int64_t good = result.good.count();
  ordered_json json;
  json["server"] = {{"version", setting.server_version}, {"cpu_features", setting.cpu_features}};
  json["target"] = setting.target;
  json["mode"] = setting.mode;
  json["request"] = setting.request;
  json["request_bytes"] = setting.request_bytes;
  if (setting.plan.rate > 0) {
    json["rate"] = setting.plan.rate;
    json["poisson"] = setting.plan.poisson;
  } else {
    json["concurrency"] = setting.plan.concurrency;
  }
  json["seconds"] = absl::ToDoubleSeconds(result.measured);
  json["good"] = good;
  json["requests_per_second"] = PerSecond(result.answered, result.measured);
  json["tokens_per_second"] = PerSecond(result.tokens, result.measured);
  json["latency_ms"] = LatencyJson(result.good);
  json["errors"] = ordered_json::object();
  for (const auto& [code, count] : result.errors) json["errors"][code] = count;
  json["error_latency_ms"] = LatencyJson(result.failed);
  json["unsent"] = result.unsent;
  json["wrong"] = result.wrong;
  ordered_json sizes = ordered_json::object();
  for (const auto& [size, count] : result.batch_requests) sizes[absl::StrCat(size)] = count;
  json["batch_requests"] = {{"mean", BatchMean(result)},
                            {"max", BatchLargest(result)},
                            {"requests_by_batch_size", sizes}};
  json["batch_tokens_mean"] = Mean(static_cast<double>(result.batch_tokens), good);
  json["server_queue_ms_mean"] = Mean(absl::ToDoubleMilliseconds(result.server_queue), good);
  json["server_compute_ms_mean"] = Mean(absl::ToDoubleMilliseconds(result.server_compute), good);
  json["generator_cpu_share"] = result.cpu_share;
  return FormatJson(json);
}

}  // namespace attend::cli
