// SPDX-License-Identifier: Apache-2.0
#include "client/cli/call_arguments.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/choice.h"
#include "client/cli/standard_streams.h"

namespace attend::cli {

void CallArguments::AddTo(Args& args) {
  args.Section("What to compute");
  args.Option("layer", "NAME", "Call this layer. Default: the server's only one.", &layer);
  args.Switch("operator", "Call scaled dot-product attention instead of a layer.", &use_operator);
  AddInputs(args);
  AddOptions(args);
  AddOutputs(args);
  connection.AddTo(args);
}

void CallArguments::AddInputs(Args& args) {
  args.Section("Inputs (.npy, or .safetensors as FILE or FILE#TENSOR; - is standard input)");
  args.Option("query", "FILE",
              "Read the query: [B, Lq, E], or packed [Tq, E]. For the operator: "
              "[B, Lq, H, D], or packed [Tq, H, D].",
              &query);
  args.Option("key", "FILE", "Read the key. Default: the query (not for the operator).", &key);
  args.Option("value", "FILE", "Read the value. Default: the key (not for the operator).", &value);
  args.Option("mask", "FILE",
              "Read a mask of bool, which is broadcast to [B, H, Lq, Lk]. A row attends to "
              "a key only where it is true.",
              &mask);
  args.Option("bias", "FILE",
              "Read a bias of floats, which is broadcast in the same way and added to the "
              "scores.",
              &bias);
  args.Option("alibi-slopes", "FILE",
              "Read slopes in float32, [H] or [B, H]. Each score loses its head's slope "
              "times the distance of key and query.",
              &alibi_slopes);
  args.Option("input", "FILE",
              "Read all tensors of a .safetensors file: any of query, key, value, mask, "
              "bias and alibi_slopes.",
              &input);
  args.Option("random", "SHAPE",
              "Make a random query of a shape such as 1x16x768, uniform in [-1, 1), and "
              "for the operator key and value, too.",
              &random);
  args.Option("seed", "N", "Seed of --random. Default: 1.", &seed);
  args.Option("dtype", "TYPE",
              "Send query, key and value as float32, bfloat16 or float16. Default: the "
              "type that they have.",
              &type_name);
  args.Option("query-lengths", "N,...", "Number of valid query rows of each sequence.",
              &query_lengths);
  args.Option("key-lengths", "N,...", "Number of valid key and value rows of each sequence.",
              &key_lengths);
  args.Option("layout", "blhd|bhld", "Order of the axes of the operator's arrays. Default: blhd.",
              &layout_name);
}

void CallArguments::AddOptions(Args& args) {
  args.Section("Options of attention");
  args.Option("scale", "X", "Multiply the scores by X. Default: the layer's scale, else 1/sqrt(D).",
              &options.scale);
  args.Switch("causal", "Each row attends only to keys at or before its position.",
              &options.causal);
  args.Option("alignment", "start|end",
              "Align the first query row with the first key, or the last query row with "
              "the last key.",
              &alignment_name);
  args.Option("query-offsets", "N,...",
              "Position of the first query row among the keys, one number per sequence.",
              &options.query_offsets);
  args.Option("window-left", "N", "Each row attends to at most N keys before its position.",
              &options.window_left);
  args.Option("window-right", "N", "Each row attends to at most N keys after its position.",
              &options.window_right);
  args.Option("softcap", "X", "Replace each score s by X * tanh(s / X).", &options.softcap);
  args.Option("sinks", "X,...",
              "Add one logit per head to the softmax that belongs to no key and no value.",
              &options.sinks);
  args.Option("head-gates", "X,...",
              "Multiply each head's output by a factor; heads with 0 are not computed.",
              &options.head_gates);
  args.Option("weights", "none|per-head|mean",
              "Return the attention weights of each head, or their mean. Default: none.",
              &weights_name);
  args.Option("weights-stage", "STAGE",
              "Return these as weights: probabilities (the default), or the scores as "
              "scaled, softcapped or biased.",
              &stage_name);
  args.Switch("log-sum-exp",
              "Return the logarithm of the sum of exponentials of each row and head.",
              &options.log_sum_exp);
  args.Option("priority", "high|normal|low", "Priority of the call. Default: normal.",
              &priority_name);
}

void CallArguments::AddOutputs(Args& args) {
  args.Section("Outputs (.npy or .safetensors; - is standard output)");
  args.Option("output", "FILE",
              "Write the output. A .safetensors file gets \"output\", and \"weights\" and "
              "\"log_sum_exp\" where they were asked for.",
              &output);
  args.Option("weights-output", "FILE", "Write the weights alone.", &weights_output);
  args.Option("log-sum-exp-output", "FILE", "Write the log-sum-exp alone.", &log_sum_exp_output);
  args.Option("output-format", "npy|safetensors", "Format of standard output. Default: npy.",
              &format_name);
  args.Switch("json",
              "Print the response as one JSON object: shapes, types, a summary and the "
              "first values of each tensor, the files written, times and warnings.",
              &json);
}

bool CallArguments::WritesStandardOutput() const {
  return IsStandardStream(output) || IsStandardStream(weights_output) ||
         IsStandardStream(log_sum_exp_output);
}

absl::Status CallArguments::ResolveNames() {
  absl::Status status;
  status.Update(Choose<client::Alignment>(
      "alignment", alignment_name,
      {{"start", client::Alignment::kStart}, {"end", client::Alignment::kEnd}},
      &options.alignment));
  status.Update(Choose<client::Weights>("weights", weights_name,
                                        {{"none", client::Weights::kNone},
                                         {"per-head", client::Weights::kPerHead},
                                         {"mean", client::Weights::kMean}},
                                        &options.weights));
  status.Update(
      Choose<client::WeightsStage>("weights-stage", stage_name,
                                   {{"probabilities", client::WeightsStage::kProbabilities},
                                    {"scaled", client::WeightsStage::kScaled},
                                    {"softcapped", client::WeightsStage::kSoftcapped},
                                    {"biased", client::WeightsStage::kBiased}},
                                   &options.weights_stage));
  status.Update(Choose<client::Layout>(
      "layout", layout_name, {{"blhd", client::Layout::kBlhd}, {"bhld", client::Layout::kBhld}},
      &layout));
  status.Update(Choose<ArrayFormat>(
      "output-format", format_name,
      {{"npy", ArrayFormat::kNpy}, {"safetensors", ArrayFormat::kSafetensors}}, &stdout_format));
  status.Update(ChoosePriority(priority_name, &priority));
  return status;
}

absl::Status CallArguments::CheckCombinations() const {
  const auto refuse = [](const char* why) { return absl::InvalidArgumentError(why); };
  const bool has_weights = options.weights != client::Weights::kNone;
  if (!layout_name.empty() && !use_operator) return refuse("--layout needs --operator");
  if (!layer.empty() && use_operator) return refuse("--layer and --operator exclude each other");
  if (!weights_output.empty() && !has_weights) return refuse("--weights-output needs --weights");
  if (!stage_name.empty() && !has_weights) return refuse("--weights-stage needs --weights");
  if (!log_sum_exp_output.empty() && !options.log_sum_exp) {
    return refuse("--log-sum-exp-output needs --log-sum-exp");
  }
  if (!format_name.empty() && !WritesStandardOutput()) {
    return refuse("--output-format needs an output that is -; files go by their names");
  }
  return absl::OkStatus();
}

absl::Status CallArguments::CheckOutputNames() const {
  for (const std::string& file : {output, weights_output, log_sum_exp_output}) {
    if (file.empty() || IsStandardStream(file) || FormatOfFile(file).has_value()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": the name must end in .npy or .safetensors, or be -"));
  }
  return absl::OkStatus();
}

absl::Status CallArguments::CheckStandardStreams() const {
  std::vector<NamedFile> inputs = {{"--query", query}, {"--key", key},
                                   {"--value", value}, {"--mask", mask},
                                   {"--bias", bias},   {"--alibi-slopes", alibi_slopes},
                                   {"--input", input}};
  for (const NamedFile& each : connection.InputFiles()) inputs.push_back(each);
  if (absl::Status s = CheckStandardInput(inputs); !s.ok()) return s;
  return CheckStandardOutput({{"--output", output},
                              {"--weights-output", weights_output},
                              {"--log-sum-exp-output", log_sum_exp_output},
                              {"--json", json ? "-" : ""}},
                             /*is_binary=*/!json);
}

absl::Status CallArguments::Resolve() {
  absl::Status status = ResolveNames();
  status.Update(CheckCombinations());
  status.Update(CheckOutputNames());
  status.Update(CheckStandardStreams());
  return status;
}

}  // namespace attend::cli
