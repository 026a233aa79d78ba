#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/arrays.h"
#include "client/cli/command.h"
#include "client/cli/random_tensor.h"

namespace attend::cli {
namespace {

using client::AttentionOptions;
using client::TensorView;

struct CallArguments {
  Connection connection;
  std::string layer;
  bool use_operator = false;
  std::string input;
  std::string query, key, value, mask, bias;
  std::string random;
  int64_t seed = 1;
  std::string dtype;
  std::vector<int64_t> query_lengths, key_lengths;
  AttentionOptions options;
  std::string alignment, weights, layout;
  int64_t priority = 0;
  std::string output, weights_output;

  void AddTo(Args& args);
};

void CallArguments::AddTo(Args& args) {
  args.Section("What to compute");
  args.Option("layer", "NAME", "multi-head attention of this layer; default: the only one", &layer);
  args.Switch("operator", "the bare scaled-dot-product operator instead", &use_operator);
  args.Section("Inputs: .npy, or .safetensors with FILE#TENSOR (default: its role's name)");
  args.Option("query", "FILE",
              "[B, Lq, E] or packed [Tq, E]; operator: [B, Lq, H, D] or\n"
              "packed [Tq, H, D]",
              &query);
  args.Option("key", "FILE", "default: query (not for --operator)", &key);
  args.Option("value", "FILE", "default: key (not for --operator)", &value);
  args.Option("mask", "FILE", "bool, broadcast to [B, H, Lq, Lk]; true = may attend", &mask);
  args.Option("bias", "FILE", "float, broadcast likewise; added to the scores", &bias);
  args.Option("input", "FILE", "a .safetensors file with any of the five by name", &input);
  args.Option("random", "SHAPE",
              "random query, and key and value for --operator, of a shape\n"
              "such as 1x16x768, uniform in [-1, 1)",
              &random);
  args.Option("seed", "N", "for --random; default 1", &seed);
  args.Option("dtype", "TYPE",
              "send query, key and value as float32, bfloat16 or float16;\n"
              "default: as they are",
              &dtype);
  args.Option("query-lengths", "N,...", "valid rows of each sequence", &query_lengths);
  args.Option("key-lengths", "N,...", "the same for key and value", &key_lengths);
  args.Option("layout", "blhd|bhld", "axes of the operator's arrays; default blhd", &layout);
  args.Section("Options");
  args.Option("scale", "X", "factor of the scores; default: the layer's, else 1/sqrt(D)",
              &options.scale);
  args.Switch("causal", "a row reads no key behind its position", &options.causal);
  args.Option("alignment", "start|end", "where query row 0 stands among the keys", &alignment);
  args.Option("query-offsets", "N,...", "or its position, for each sequence",
              &options.query_offsets);
  args.Option("head-gates", "X,...", "factor of each head; 0 leaves it out", &options.head_gates);
  args.Option("weights", "none|per-head|mean", "attention probabilities to return; default none",
              &weights);
  args.Option("priority", "N", "0 (default) is served first", &priority);
  args.Section("Outputs: .npy or .safetensors");
  args.Option("output", "FILE", "a .safetensors file gets \"output\" and \"weights\"", &output);
  args.Option("weights-output", "FILE", "the weights alone", &weights_output);
}

// Views need the tensors they look at.
struct Inputs {
  Tensor query, key, value, mask, bias;
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
      if (!std::set<std::string>{"query", "key", "value", "mask", "bias"}.contains(name)) {
        return absl::InvalidArgumentError(absl::StrCat(
            from.input, ": tensor \"", name, "\" is none of query, key, value, mask, bias"));
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
                        {"bias", from.bias, &inputs->bias, false, false}};
  uint64_t seed = static_cast<uint64_t>(from.seed);
  for (const Role& role : roles) {
    const bool in_file = file.contains(role.name);
    if (in_file + !role.spec.empty() + role.random > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(role.name, " is given twice among --input, --random and --", role.name));
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

absl::Status ReadChoices(CallArguments* arguments, client::Layout* layout) {
  AttentionOptions& options = arguments->options;
  const auto choose = [](const char* name, const std::string& given, auto choices, auto* target) {
    if (given.empty()) return absl::OkStatus();
    std::string allowed;
    for (const auto& [text, value] : choices) {
      if (given == text) {
        *target = value;
        return absl::OkStatus();
      }
      absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", text);
    }
    return absl::InvalidArgumentError(
        absl::StrCat("--", name, " must be one of ", allowed, ", got \"", given, "\""));
  };
  using Alignments = std::vector<std::pair<std::string, client::Alignment>>;
  using WeightsNames = std::vector<std::pair<std::string, client::Weights>>;
  using Layouts = std::vector<std::pair<std::string, client::Layout>>;
  absl::Status status;
  status.Update(
      choose("alignment", arguments->alignment,
             Alignments{{"start", client::Alignment::kStart}, {"end", client::Alignment::kEnd}},
             &options.alignment));
  status.Update(choose("weights", arguments->weights,
                       WeightsNames{{"none", client::Weights::kNone},
                                    {"per-head", client::Weights::kPerHead},
                                    {"mean", client::Weights::kMean}},
                       &options.weights));
  status.Update(choose("layout", arguments->layout,
                       Layouts{{"blhd", client::Layout::kBLHD}, {"bhld", client::Layout::kBHLD}},
                       layout));
  if (!arguments->layout.empty() && !arguments->use_operator) {
    status.Update(absl::InvalidArgumentError("--layout needs --operator"));
  }
  if (!arguments->layer.empty() && arguments->use_operator) {
    status.Update(absl::InvalidArgumentError("--layer and --operator exclude each other"));
  }
  if (arguments->priority < 0 || arguments->priority > std::numeric_limits<int32_t>::max()) {
    status.Update(absl::InvalidArgumentError("--priority must be 0 or more"));
  }
  if (!arguments->weights_output.empty() && options.weights == client::Weights::kNone) {
    status.Update(absl::InvalidArgumentError("--weights-output needs --weights"));
  }
  for (const std::string& file : {arguments->output, arguments->weights_output}) {
    if (!file.empty() && !absl::EndsWith(file, ".npy") && !absl::EndsWith(file, ".safetensors")) {
      status.Update(absl::InvalidArgumentError(
          absl::StrCat(file, ": the name must end in .npy or .safetensors")));
    }
  }
  return status;
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
  absl::PrintF("%-8s %s %s", name, Name(tensor.type()), client::ToString(tensor.shape()));
  if (finite > 0) {
    absl::PrintF("  mean %.6g  min %.6g  max %.6g  norm %.6g", sum / finite, min, max,
                 std::sqrt(squares));
  }
  if (not_finite > 0) absl::PrintF("  not finite: %d", not_finite);
  absl::PrintF("\n");
}

absl::Status WriteResults(const CallArguments& to, const client::AttentionResult& result) {
  const auto write = [](const std::string& path, const std::vector<NamedTensor>& tensors) {
    return absl::EndsWith(path, ".npy") ? WriteNpy(path, tensors[0].tensor)
                                        : WriteSafetensors(path, tensors);
  };
  if (!to.output.empty()) {
    std::vector<NamedTensor> tensors = {{"output", result.output}};
    if (result.weights.has_value()) tensors.push_back({"weights", *result.weights});
    if (absl::Status s = write(to.output, tensors); !s.ok()) return s;
  }
  if (!to.weights_output.empty() && result.weights.has_value()) {
    return write(to.weights_output, {{"weights", *result.weights}});
  }
  return absl::OkStatus();
}

absl::StatusOr<client::AttentionResult> Call(client::Client& client, const CallArguments& from,
                                             const Inputs& inputs, client::Layout layout) {
  AttentionOptions options = from.options;
  options.mask = ViewOf(inputs.mask);
  options.bias = ViewOf(inputs.bias);
  if (from.use_operator) {
    client::OperatorRequest request;
    request.query = ViewOf(inputs.query);
    request.key = ViewOf(inputs.key);
    request.value = ViewOf(inputs.value);
    request.query_lengths = from.query_lengths;
    request.key_lengths = from.key_lengths;
    request.options = std::move(options);
    request.layout = layout;
    request.priority = static_cast<uint32_t>(from.priority);
    return client.Call(request, from.connection.call_options());
  }
  client::MultiHeadRequest request;
  request.layer = from.layer;
  request.query = ViewOf(inputs.query);
  request.key = ViewOf(inputs.key);
  request.value = ViewOf(inputs.value);
  request.query_lengths = from.query_lengths;
  request.key_lengths = from.key_lengths;
  request.options = std::move(options);
  request.priority = static_cast<uint32_t>(from.priority);
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
  client::Layout layout = client::Layout::kBLHD;
  if (absl::Status s = ReadChoices(&from, &layout); !s.ok()) return ReportUsage(s.message());
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
  const absl::StatusOr<client::AttentionResult> result = Call(**client, from, inputs, layout);
  const absl::Duration took = absl::FromChrono(std::chrono::steady_clock::now() - start);
  if (!result.ok()) return ReportCall(result.status());

  PrintSummary("output", result->output);
  if (result->weights.has_value()) PrintSummary("weights", *result->weights);
  if (!from.use_operator) {
    absl::PrintF("%-8s %s, sha256 %s\n", "layer", from.layer, result->layer_sha256);
  }
  const client::Timing& timing = result->timing;
  absl::PrintF("%-8s %s in all; server: queue %s, compute %s", "time", FormatLatency(took),
               FormatLatency(timing.queue), FormatLatency(timing.compute));
  absl::PrintF(" (batch of %d, %d tokens)\n", timing.batch_requests, timing.batch_tokens);
  if (result->attempts > 1) absl::PrintF("%-8s %d\n", "attempts", result->attempts);
  if (absl::Status s = WriteResults(from, *result); !s.ok()) return ReportUsage(s.message());
  return kOk;
}

}  // namespace attend::cli
