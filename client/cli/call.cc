// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/arrays.h"
#include "client/cli/call_arguments.h"
#include "client/cli/command.h"
#include "client/cli/random_tensor.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

using client::TensorView;

// Views need the tensors they look at.
struct Inputs {
  Tensor query, key, value, mask, bias, alibi_slopes;
};

TensorView ViewOf(const Tensor& tensor) {
  return tensor.data() == nullptr ? TensorView() : tensor.view();
}

absl::Status ReadInputs(const CallArguments& from, Inputs* inputs) {
  std::map<std::string, Tensor> file;
  if (!from.input.empty()) {
    absl::StatusOr<std::map<std::string, Tensor>> read = ReadSafetensors(from.input);
    if (!read.ok()) return read.status();
    file = *std::move(read);
    for (const auto& [name, tensor] : file) {
      if (!std::set<std::string>{"query", "key", "value", "mask", "bias", "alibi_slopes"}.contains(
              name)) {
        return absl::InvalidArgumentError(
            absl::StrCat(from.input, ": tensor \"", name,
                         "\" is none of query, key, value, mask, bias, alibi_slopes"));
      }
    }
  }
  struct Role {
    const char* name;
    const std::string& spec;
    Tensor* tensor;
    bool random;
    bool convert;
  };
  const bool random = !from.random.empty();
  const Role roles[] = {{"query", from.query, &inputs->query, random, true},
                        {"key", from.key, &inputs->key, random && from.use_operator, true},
                        {"value", from.value, &inputs->value, random && from.use_operator, true},
                        {"mask", from.mask, &inputs->mask, false, false},
                        {"bias", from.bias, &inputs->bias, false, false},
                        {"alibi_slopes", from.alibi_slopes, &inputs->alibi_slopes, false, false}};
  uint64_t seed = static_cast<uint64_t>(from.seed);
  for (const Role& role : roles) {
    const bool in_file = file.contains(role.name);
    if (in_file + !role.spec.empty() + role.random > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(role.name, " is given twice among --input, --random and --",
                       absl::StrReplaceAll(role.name, {{"_", "-"}})));
    }
    if (in_file) {
      *role.tensor = file[role.name];
    } else if (!role.spec.empty()) {
      absl::StatusOr<Tensor> read = ReadArray(role.spec, role.name);
      if (!read.ok()) return read.status();
      *role.tensor = *std::move(read);
    } else if (role.random) {
      absl::StatusOr<client::Shape> shape = ParseShape(from.random);
      if (!shape.ok()) return shape.status();
      *role.tensor = RandomTensor(*shape, seed++);
    }
    if (!role.convert || from.dtype.empty() || role.tensor->data() == nullptr) continue;
    const absl::StatusOr<DataType> type = ParseDataType(from.dtype);
    if (!type.ok()) return type.status();
    absl::StatusOr<Tensor> converted = ConvertTensor(*role.tensor, *type);
    if (!converted.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(role.name, ": ", converted.status().message()));
    }
    *role.tensor = *std::move(converted);
  }
  if (inputs->query.data() == nullptr) {
    return absl::InvalidArgumentError("no query: give --query, --input or --random");
  }
  return absl::OkStatus();
}

void PrintSummary(const char* name, const Tensor& tensor) {
  const std::vector<float> values = tensor.ToFloats();
  double sum = 0;
  double squares = 0;
  float min = std::numeric_limits<float>::infinity();
  float max = -min;
  int64_t not_finite = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      ++not_finite;
      continue;
    }
    sum += value;
    squares += static_cast<double>(value) * value;
    min = std::min(min, value);
    max = std::max(max, value);
  }
  const auto finite = static_cast<double>(values.size()) - static_cast<double>(not_finite);
  Print(stdout, "%-8s %s %s", name, Name(tensor.type()), client::ToString(tensor.shape()));
  if (finite > 0) {
    Print(stdout, "  mean %.6g  min %.6g  max %.6g  norm %.6g", sum / finite, min, max,
          std::sqrt(squares));
  }
  if (not_finite > 0) Print(stdout, "  not finite: %d", not_finite);
  Print(stdout, "\n");
}

absl::Status WriteResults(const CallArguments& to, const client::AttentionResponse& result) {
  const auto write = [](const std::string& path, const std::vector<NamedTensor>& tensors) {
    return absl::EndsWith(path, ".npy") ? WriteNpy(path, tensors[0].tensor)
                                        : WriteSafetensors(path, tensors);
  };
  if (!to.output.empty()) {
    std::vector<NamedTensor> tensors = {{"output", result.output}};
    if (result.weights.has_value()) tensors.push_back({"weights", *result.weights});
    if (result.log_sum_exp.has_value()) tensors.push_back({"log_sum_exp", *result.log_sum_exp});
    if (absl::Status s = write(to.output, tensors); !s.ok()) return s;
  }
  if (!to.weights_output.empty() && result.weights.has_value()) {
    if (absl::Status s = write(to.weights_output, {{"weights", *result.weights}}); !s.ok())
      return s;
  }
  if (!to.log_sum_exp_output.empty() && result.log_sum_exp.has_value()) {
    return write(to.log_sum_exp_output, {{"log_sum_exp", *result.log_sum_exp}});
  }
  return absl::OkStatus();
}

absl::StatusOr<client::AttentionResponse> Call(client::Client& client, const CallArguments& from,
                                               const Inputs& inputs) {
  client::AttentionOptions options = from.options;
  options.mask = ViewOf(inputs.mask);
  options.bias = ViewOf(inputs.bias);
  options.alibi_slopes = ViewOf(inputs.alibi_slopes);
  if (from.use_operator) {
    client::ScaledDotProductAttentionRequest request;
    request.query = ViewOf(inputs.query);
    request.key = ViewOf(inputs.key);
    request.value = ViewOf(inputs.value);
    request.query_lengths = from.query_lengths;
    request.key_lengths = from.key_lengths;
    request.options = std::move(options);
    request.layout = from.layout;
    request.priority = from.priority;
    return client.Call(request, from.connection.call_options());
  }
  client::MultiHeadAttentionRequest request;
  request.layer = from.layer;
  request.query = ViewOf(inputs.query);
  request.key = ViewOf(inputs.key);
  request.value = ViewOf(inputs.value);
  request.query_lengths = from.query_lengths;
  request.key_lengths = from.key_lengths;
  request.options = std::move(options);
  request.priority = from.priority;
  return client.Call(request, from.connection.call_options());
}

}  // namespace

int RunCall(const std::vector<std::string>& arguments) {
  CallArguments from;
  Args args("attend call [--layer=NAME | --operator] --query=FILE [OPTIONS]",
            "Computes attention once and prints the shape, a summary of the values and the time.");
  from.AddTo(args);
  from.connection.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, nullptr, 0)) return *exit;
  if (absl::Status s = from.Resolve(); !s.ok()) return ReportUsage(s.message());
  Inputs inputs;
  if (absl::Status s = ReadInputs(from, &inputs); !s.ok()) return ReportUsage(s.message());
  const auto client = from.connection.Connect();
  if (!client.ok()) return ReportUsage(client.status().message());
  if (!from.use_operator && from.layer.empty()) {
    const auto layer = FindLayer(**client, "", from.connection.call_options());
    if (!layer.ok()) return ReportCall(layer.status());
    from.layer = layer->name();
  }

  const auto start = std::chrono::steady_clock::now();
  const absl::StatusOr<client::AttentionResponse> result = Call(**client, from, inputs);
  const absl::Duration took = absl::FromChrono(std::chrono::steady_clock::now() - start);
  if (!result.ok()) return ReportCall(result.status());

  PrintSummary("output", result->output);
  if (result->weights.has_value()) PrintSummary("weights", *result->weights);
  if (result->log_sum_exp.has_value()) PrintSummary("log-sum", *result->log_sum_exp);
  if (!from.use_operator) {
    Print(stdout, "%-8s %s, sha256 %s\n", "layer", from.layer, result->layer_sha256);
  }
  const client::Timing& timing = result->timing;
  Print(stdout, "%-8s %s in all; server: queue %s, compute %s", "time", FormatLatency(took),
        FormatLatency(timing.queue), FormatLatency(timing.compute));
  Print(stdout, " (batch of %d, %d tokens)\n", timing.batch_requests, timing.batch_tokens);
  if (result->attempts > 1) Print(stdout, "%-8s %d\n", "attempts", result->attempts);
  for (const std::string& warning : result->warnings) {
    Print(stderr, "warning: %s\n", warning);
  }
  if (absl::Status s = WriteResults(from, *result); !s.ok()) return ReportUsage(s.message());
  return kOk;
}

}  // namespace attend::cli
