// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/call_arguments.h"
#include "client/cli/call_inputs.h"
#include "client/cli/call_result.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/terminal.h"

namespace attend::cli {
namespace {

client::TensorView ViewOf(const Tensor& tensor) {
  return tensor.data() == nullptr ? client::TensorView() : tensor.view();
}

// What requests of both kinds have.
template <typename Request>
Request MakeRequest(const CallArguments& from, const CallInputs& inputs) {
  Request request;
  request.query = ViewOf(inputs.query);
  request.key = ViewOf(inputs.key);
  request.value = ViewOf(inputs.value);
  request.query_lengths = from.query_lengths;
  request.key_lengths = from.key_lengths;
  request.options = from.options;
  request.options.mask = ViewOf(inputs.mask);
  request.options.bias = ViewOf(inputs.bias);
  request.options.alibi_slopes = ViewOf(inputs.alibi_slopes);
  request.priority = from.priority;
  return request;
}

absl::StatusOr<client::AttentionResponse> Call(client::Client& client, const CallArguments& from,
                                               const CallInputs& inputs) {
  const client::CallOptions options = from.connection.call_options();
  if (from.use_operator) {
    auto request = MakeRequest<client::ScaledDotProductAttentionRequest>(from, inputs);
    request.layout = from.layout;
    return client.Call(request, options);
  }
  auto request = MakeRequest<client::MultiHeadAttentionRequest>(from, inputs);
  request.layer = from.layer;
  return client.Call(request, options);
}

void PrintReport(const CallArguments& from, const CallReport& report) {
  if (from.json) return WriteText(stdout, FormatJson(ReportJson(report)));
  WriteText(from.WritesStandardOutput() ? stderr : stdout, ReportText(report));
  for (const std::string& warning : report.response.warnings) {
    Print(stderr, "warning: %s\n", warning);
  }
}

}  // namespace

int RunCall(const std::vector<std::string>& arguments) {
  CallArguments from;
  Args args("attend call [--layer=NAME | --operator] --query=FILE [OPTIONS]",
            "Computes attention once, and prints the shape of the result, a summary of its\n"
            "values and the time; to standard error if the result goes to standard output.");
  from.AddTo(args);
  if (const auto exit = ParseOrExit(args, arguments, nullptr, 0)) return *exit;
  if (absl::Status s = from.Resolve(); !s.ok()) return ReportUsage(s.message());
  CallInputs inputs;
  if (absl::Status s = ReadInputs(from, &inputs); !s.ok()) return ReportUsage(s.message());
  const auto client = from.connection.Connect();
  if (!client.ok()) return ReportConnect(client.status());
  if (!from.use_operator && from.layer.empty()) {
    const auto layer = FindLayer(**client, "", from.connection.call_options());
    if (!layer.ok()) return ReportCall(**client, from.connection, layer.status());
    from.layer = layer->name();
  }

  const auto start = std::chrono::steady_clock::now();
  const absl::StatusOr<client::AttentionResponse> response = Call(**client, from, inputs);
  const absl::Duration took = absl::FromChrono(std::chrono::steady_clock::now() - start);
  if (!response.ok()) return ReportCall(**client, from.connection, response.status());

  CallReport report = {from.layer, took, *response, {}};
  const absl::Status written = WriteResults(from, *response, &report.written);
  PrintReport(from, report);
  return written.ok() ? kOk : ReportNotWritten(written);
}

}  // namespace attend::cli
