// SPDX-License-Identifier: Apache-2.0
#include "client/cli/call_arguments.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/choice.h"

namespace attend::cli {

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
  args.Option("alibi-slopes", "FILE",
              "float32, [H] or [B, H]: a score loses slope * distance of key and\n"
              "query",
              &alibi_slopes);
  args.Option("input", "FILE",
              "a .safetensors file with any of query, key, value, mask, bias\n"
              "and alibi_slopes by name",
              &input);
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
  args.Option("layout", "blhd|bhld", "axes of the operator's arrays; default blhd", &layout_name);
  args.Section("Options");
  args.Option("scale", "X", "factor of the scores; default: the layer's, else 1/sqrt(D)",
              &options.scale);
  args.Switch("causal", "a row reads no key behind its position", &options.causal);
  args.Option("alignment", "start|end", "where query row 0 stands among the keys", &alignment_name);
  args.Option("query-offsets", "N,...", "or its position, for each sequence",
              &options.query_offsets);
  args.Option("window-left", "N", "a row reads no key further than N before its position",
              &options.window_left);
  args.Option("window-right", "N", "nor further than N behind it", &options.window_right);
  args.Option("softcap", "X", "scores s become X * tanh(s / X)", &options.softcap);
  args.Option("sinks", "X,...", "a logit of each head that takes part without a value",
              &options.sinks);
  args.Option("head-gates", "X,...", "factor of each head; 0 leaves it out", &options.head_gates);
  args.Option("weights", "none|per-head|mean", "attention weights to return; default none",
              &weights_name);
  args.Option("weights-stage", "STAGE",
              "what they are: probabilities (default), or the scores scaled,\n"
              "softcapped or biased",
              &stage_name);
  args.Switch("log-sum-exp", "return the logarithm of each row's sum of exponents too",
              &options.log_sum_exp);
  args.Option("priority", "high|normal|low", "default normal", &priority_name);
  args.Section("Outputs: .npy or .safetensors");
  args.Option("output", "FILE",
              "a .safetensors file gets \"output\", \"weights\" and\n"
              "\"log_sum_exp\"",
              &output);
  args.Option("weights-output", "FILE", "the weights alone", &weights_output);
  args.Option("log-sum-exp-output", "FILE", "the log-sum-exp alone", &log_sum_exp_output);
}

absl::Status CallArguments::Resolve() {
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
  status.Update(ChoosePriority(priority_name, &priority));
  if (!layout_name.empty() && !use_operator) {
    status.Update(absl::InvalidArgumentError("--layout needs --operator"));
  }
  if (!layer.empty() && use_operator) {
    status.Update(absl::InvalidArgumentError("--layer and --operator exclude each other"));
  }
  if (!weights_output.empty() && options.weights == client::Weights::kNone) {
    status.Update(absl::InvalidArgumentError("--weights-output needs --weights"));
  }
  if (!stage_name.empty() && options.weights == client::Weights::kNone) {
    status.Update(absl::InvalidArgumentError("--weights-stage needs --weights"));
  }
  if (!log_sum_exp_output.empty() && !options.log_sum_exp) {
    status.Update(absl::InvalidArgumentError("--log-sum-exp-output needs --log-sum-exp"));
  }
  for (const std::string& file : {output, weights_output, log_sum_exp_output}) {
    if (!file.empty() && !absl::EndsWith(file, ".npy") && !absl::EndsWith(file, ".safetensors")) {
      status.Update(absl::InvalidArgumentError(
          absl::StrCat(file, ": the name must end in .npy or .safetensors")));
    }
  }
  return status;
}

}  // namespace attend::cli
