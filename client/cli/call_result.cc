// SPDX-License-Identifier: Apache-2.0
#include "client/cli/call_result.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/cli/json.h"
#include "client/cli/latency.h"
#include "client/cli/standard_streams.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

using nlohmann::ordered_json;

constexpr size_t kFirstValues = 8;

// Of the finite values.
struct Summary {
  int64_t finite = 0, not_finite = 0;
  double mean = 0, norm = 0;
  float min = std::numeric_limits<float>::infinity();
  float max = -min;
};

Summary Summarize(const std::vector<float>& values) {
  Summary summary;
  double sum = 0;
  double squares = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      ++summary.not_finite;
      continue;
    }
    ++summary.finite;
    sum += value;
    squares += static_cast<double>(value) * value;
    summary.min = std::min(summary.min, value);
    summary.max = std::max(summary.max, value);
  }
  if (summary.finite > 0) summary.mean = sum / static_cast<double>(summary.finite);
  summary.norm = std::sqrt(squares);
  return summary;
}

void AppendTensor(std::string* text, const char* name, const Tensor& tensor) {
  const Summary summary = Summarize(tensor.ToFloats());
  AppendText(text, "%-8s %s %s", name, Name(tensor.type()), client::ToString(tensor.shape()));
  if (summary.finite > 0) {
    AppendText(text, "  mean %.6g  min %.6g  max %.6g  norm %.6g", summary.mean, summary.min,
               summary.max, summary.norm);
  }
  if (summary.not_finite > 0) AppendText(text, "  not finite: %d", summary.not_finite);
  *text += '\n';
}

ordered_json TensorJson(const Tensor& tensor, const std::vector<std::string>& files) {
  const std::vector<float> values = tensor.ToFloats();
  const Summary summary = Summarize(values);
  ordered_json json;
  json["data_type"] = std::string(Name(tensor.type()));
  json["shape"] = tensor.shape();
  json["size_bytes"] = tensor.size_bytes();
  const bool known = summary.finite > 0;
  json["mean"] = known ? ordered_json(summary.mean) : ordered_json();
  json["min"] = known ? NumberToJson(summary.min) : ordered_json();
  json["max"] = known ? NumberToJson(summary.max) : ordered_json();
  json["norm"] = summary.norm;
  json["not_finite"] = summary.not_finite;
  json["first_values"] = ordered_json::array();
  for (size_t i = 0; i < std::min(values.size(), kFirstValues); ++i) {
    json["first_values"].push_back(NumberToJson(values[i]));
  }
  json["files"] = files;
  return json;
}

// One file and the tensors that it gets, each with the list that remembers where it went.
struct Destination {
  const std::string& path;
  std::vector<NamedTensor> tensors;
  std::vector<std::vector<std::string>*> written;
};

absl::Status Write(const Destination& to, ArrayFormat stdout_format) {
  const ArrayFormat format = FormatOfFile(to.path).value_or(stdout_format);
  const bool is_npy = format == ArrayFormat::kNpy;
  const absl::Status status =
      is_npy ? WriteNpy(to.path, to.tensors[0].tensor) : WriteSafetensors(to.path, to.tensors);
  if (!status.ok()) return status;
  for (size_t i = 0; i < (is_npy ? 1 : to.tensors.size()); ++i) {
    to.written[i]->push_back(is_npy ? to.path : absl::StrCat(to.path, "#", to.tensors[i].name));
  }
  return status;
}

}  // namespace

absl::Status WriteResults(const CallArguments& to, const client::AttentionResponse& response,
                          WrittenFiles* written) {
  std::vector<Destination> all;
  if (!to.output.empty()) {
    all.push_back({to.output, {{"output", response.output}}, {&written->output}});
    if (response.weights.has_value()) {
      all.back().tensors.push_back({"weights", *response.weights});
      all.back().written.push_back(&written->weights);
    }
    if (response.log_sum_exp.has_value()) {
      all.back().tensors.push_back({"log_sum_exp", *response.log_sum_exp});
      all.back().written.push_back(&written->log_sum_exp);
    }
  }
  if (!to.weights_output.empty() && response.weights.has_value()) {
    all.push_back({to.weights_output, {{"weights", *response.weights}}, {&written->weights}});
  }
  if (!to.log_sum_exp_output.empty() && response.log_sum_exp.has_value()) {
    all.push_back(
        {to.log_sum_exp_output, {{"log_sum_exp", *response.log_sum_exp}}, {&written->log_sum_exp}});
  }
  for (const Destination& each : all) {
    if (absl::Status s = Write(each, to.stdout_format); !s.ok()) return s;
  }
  return absl::OkStatus();
}

std::string ReportText(const CallReport& report) {
  const client::AttentionResponse& response = report.response;
  std::string text;
  AppendTensor(&text, "output", response.output);
  if (response.weights.has_value()) AppendTensor(&text, "weights", *response.weights);
  if (response.log_sum_exp.has_value()) AppendTensor(&text, "log-sum", *response.log_sum_exp);
  if (!report.layer.empty()) {
    AppendText(&text, "%-8s %s, sha256 %s\n", "layer", report.layer, response.layer_sha256);
  }
  const client::Timing& timing = response.timing;
  AppendText(&text, "%-8s %s in all; server: queue %s, compute %s (batch of %d, %d tokens)\n",
             "time", FormatLatency(report.took), FormatLatency(timing.queue),
             FormatLatency(timing.compute), timing.batch_requests, timing.batch_tokens);
  if (response.attempts > 1) AppendText(&text, "%-8s %d\n", "attempts", response.attempts);
  return text;
}

ordered_json ReportJson(const CallReport& report) {
  const client::AttentionResponse& response = report.response;
  ordered_json json;
  if (!report.layer.empty()) {
    json["layer"] = report.layer;
    json["layer_sha256"] = response.layer_sha256;
  }
  json["request_id"] = response.request_id;
  json["attempts"] = response.attempts;
  json["output"] = TensorJson(response.output, report.written.output);
  if (response.weights.has_value()) {
    json["weights"] = TensorJson(*response.weights, report.written.weights);
  }
  if (response.log_sum_exp.has_value()) {
    json["log_sum_exp"] = TensorJson(*response.log_sum_exp, report.written.log_sum_exp);
  }
  const client::Timing& timing = response.timing;
  json["timing"] = {{"total_ns", absl::ToInt64Nanoseconds(report.took)},
                    {"queue_ns", absl::ToInt64Nanoseconds(timing.queue)},
                    {"compute_ns", absl::ToInt64Nanoseconds(timing.compute)},
                    {"batch_requests", timing.batch_requests},
                    {"batch_tokens", timing.batch_tokens}};
  json["warnings"] = response.warnings;
  return json;
}

}  // namespace attend::cli
