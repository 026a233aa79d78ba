// SPDX-License-Identifier: Apache-2.0
#include "server/config/model_flags.h"

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/quoted.h"
#include "core/base/status.h"

namespace attend {
namespace {

using Options = std::map<std::string, std::string>;

absl::Status CheckName(absl::string_view name) {
  constexpr size_t kMaxNameBytes = 128;
  bool fits =
      !name.empty() && name.size() <= kMaxNameBytes && name.front() != '/' && name.back() != '/';
  for (const char c : name) {
    fits = fits && (absl::ascii_isalnum(c) || absl::StrContains("._-/", c));
  }
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the name is ", Quoted(name), ", but must be 1 to ", kMaxNameBytes,
                   " letters, digits, '.', '_', '-', or '/', and must not start or end with '/'"));
}

absl::StatusOr<Options> ParseOptions(absl::string_view text, const std::set<std::string>& allowed) {
  Options options;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> option =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (allowed.count(option.first) == 0) {
      return absl::InvalidArgumentError(absl::StrCat("option ", Quoted(option.first),
                                                     " is not known; the known ones are ",
                                                     absl::StrJoin(allowed, ", ")));
    }
    if (!options.insert(option).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("option ", Quoted(option.first), " is given twice"));
    }
  }
  return options;
}

// The functions Get* read one option; they leave `value` as it is if the option is absent.

absl::Status GetSize(const Options& options, const std::string& key, int64_t& value) {
  const auto found = options.find(key);
  if (found == options.end()) return absl::OkStatus();
  if (absl::SimpleAtoi(found->second, &value) && value >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, " is ", Quoted(found->second), ", but must be a positive integer"));
}

absl::Status GetCount(const Options& options, const std::string& key,
                      std::optional<int64_t>& value) {
  const auto found = options.find(key);
  if (found == options.end()) return absl::OkStatus();
  if (absl::SimpleAtoi(found->second, &value.emplace()) && *value >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, " is ", Quoted(found->second), ", but must be a non-negative integer"));
}

template <typename Number>
absl::Status GetPositive(const Options& options, const std::string& key, Number& value) {
  const auto found = options.find(key);
  if (found == options.end()) return absl::OkStatus();
  double number = 0.0;
  if (absl::SimpleAtod(found->second, &number)) {
    value = static_cast<Number>(number);
    if (value > 0 && std::isfinite(value)) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(key, " is ", Quoted(found->second), ", but must be a positive number"));
}

absl::Status GetSwitch(const Options& options, const std::string& key, bool& value) {
  const auto found = options.find(key);
  if (found == options.end()) return absl::OkStatus();
  value = found->second == "on";
  if (value || found->second == "off") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, " is ", Quoted(found->second), ", but must be on or off"));
}

// Reads the options that correspond to settings of checkpoints, beside the sizes.
absl::Status GetVariants(const Options& options, RandomLayerSpec& spec) {
  ATTEND_RETURN_IF_ERROR(GetPositive(options, "scale", spec.scale));
  ATTEND_RETURN_IF_ERROR(GetPositive(options, "softcap", spec.softcap));
  ATTEND_RETURN_IF_ERROR(GetCount(options, "window_left", spec.window_left));
  ATTEND_RETURN_IF_ERROR(GetCount(options, "window_right", spec.window_right));
  ATTEND_RETURN_IF_ERROR(GetSwitch(options, "qk_norm", spec.qk_norm));
  RandomLayerSpec::Rotary rotary;
  ATTEND_RETURN_IF_ERROR(GetSize(options, "rotary_dim", rotary.dim));
  ATTEND_RETURN_IF_ERROR(GetPositive(options, "rotary_theta", rotary.theta));
  ATTEND_RETURN_IF_ERROR(GetSwitch(options, "rotary_interleaved", rotary.interleaved));
  for (const char* key : {"rotary_dim", "rotary_theta", "rotary_interleaved"}) {
    if (options.count(key) > 0) spec.rotary = rotary;
  }
  ATTEND_RETURN_IF_ERROR(GetSize(options, "relative_buckets", spec.relative_buckets));
  if (options.count("relative_max_distance") > 0 && spec.relative_buckets == 0) {
    return absl::InvalidArgumentError("relative_max_distance requires relative_buckets");
  }
  return GetSize(options, "relative_max_distance", spec.relative_max_distance);
}

absl::Status GetCompute(const Options& options, ComputeType& compute) {
  const auto found = options.find("compute");
  if (found == options.end() || found->second == "f32") return absl::OkStatus();
  if (found->second != "bf16") {
    return absl::InvalidArgumentError(
        absl::StrCat("compute is ", Quoted(found->second), ", but must be f32 or bf16"));
  }
  compute = ComputeType::kBFloat16;
  return absl::OkStatus();
}

absl::Status GetMatmul(const Options& options, std::optional<MatmulChoice>& matmul) {
  const auto found = options.find("matmul");
  if (found == options.end()) return absl::OkStatus();
  for (const auto& [name, choice] : kMatmulChoices) {
    if (found->second == name) matmul = choice;
  }
  if (matmul.has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("matmul is ", Quoted(found->second), ", but must be auto, onednn or panels"));
}

std::string FormatMatmul(std::optional<MatmulChoice> matmul) {
  return matmul.has_value() ? absl::StrCat(",matmul=", Name(*matmul)) : "";
}

std::string FormatCompute(ComputeType compute) {
  return compute == ComputeType::kBFloat16 ? "bf16" : "f32";
}

}  // namespace

absl::StatusOr<ModelSpec> ParseModelSpec(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quoted(text),
        " must be NAME=PATH or NAME=PATH:OPTIONS, such as NAME=PATH:num_heads=12,compute=bf16"));
  }
  ModelSpec spec;
  spec.name = std::string(text.substr(0, equals));
  ATTEND_RETURN_IF_ERROR(CheckName(spec.name));
  absl::string_view path = text.substr(equals + 1);
  // A colon belongs to the path unless options follow it.
  const size_t colon = path.rfind(':');
  if (colon != absl::string_view::npos && absl::StrContains(path.substr(colon), '=')) {
    ATTEND_ASSIGN_OR_RETURN(
        const Options options,
        ParseOptions(path.substr(colon + 1), {"num_heads", "compute", "matmul"}));
    ATTEND_RETURN_IF_ERROR(GetSize(options, "num_heads", spec.num_heads));
    ATTEND_RETURN_IF_ERROR(GetCompute(options, spec.compute));
    ATTEND_RETURN_IF_ERROR(GetMatmul(options, spec.matmul));
    path = path.substr(0, colon);
  }
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("model ", spec.name, ": the path is empty"));
  }
  spec.path = std::string(path);
  return spec;
}

absl::StatusOr<RandomLayerSpec> ParseRandomLayerSpec(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (parts.second.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quoted(text), " must be NAME:OPTIONS, such as NAME:embed_dim=768,num_heads=12"));
  }
  RandomLayerSpec spec;
  spec.name = std::string(parts.first);
  ATTEND_RETURN_IF_ERROR(CheckName(spec.name));
  ATTEND_ASSIGN_OR_RETURN(
      const Options options,
      ParseOptions(
          parts.second,
          {"embed_dim", "num_heads", "num_kv_heads", "head_dim", "seed", "compute", "matmul",
           "scale", "softcap", "window_left", "window_right", "qk_norm", "rotary_dim",
           "rotary_theta", "rotary_interleaved", "relative_buckets", "relative_max_distance"}));
  for (const char* required : {"embed_dim", "num_heads"}) {
    if (options.count(required) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("random layer ", spec.name, ": ", required, " is required"));
    }
  }
  ATTEND_RETURN_IF_ERROR(GetSize(options, "embed_dim", spec.embed_dim));
  ATTEND_RETURN_IF_ERROR(GetSize(options, "num_heads", spec.num_heads));
  ATTEND_RETURN_IF_ERROR(GetSize(options, "num_kv_heads", spec.num_kv_heads));
  ATTEND_RETURN_IF_ERROR(GetSize(options, "head_dim", spec.head_dim));
  ATTEND_RETURN_IF_ERROR(GetCompute(options, spec.compute));
  ATTEND_RETURN_IF_ERROR(GetMatmul(options, spec.matmul));
  ATTEND_RETURN_IF_ERROR(GetVariants(options, spec));
  const auto seed = options.find("seed");
  if (seed != options.end() && !absl::SimpleAtoi(seed->second, &spec.seed)) {
    return absl::InvalidArgumentError(absl::StrCat("seed is ", Quoted(seed->second),
                                                   ", but must be an integer from 0 to 2^64 - 1"));
  }
  return spec;
}

std::string FormatModelSpec(const ModelSpec& spec) {
  std::string text = absl::StrCat(spec.name, "=", spec.path, ":");
  if (spec.num_heads != 0) absl::StrAppend(&text, "num_heads=", spec.num_heads, ",");
  return absl::StrCat(text, "compute=", FormatCompute(spec.compute), FormatMatmul(spec.matmul));
}

std::string FormatRandomLayerSpec(const RandomLayerSpec& spec) {
  std::string text =
      absl::StrCat(spec.name, ":embed_dim=", spec.embed_dim, ",num_heads=", spec.num_heads);
  // 0 stands for a default that follows from the other sizes, and cannot be given.
  if (spec.num_kv_heads != 0) absl::StrAppend(&text, ",num_kv_heads=", spec.num_kv_heads);
  if (spec.head_dim != 0) absl::StrAppend(&text, ",head_dim=", spec.head_dim);
  absl::StrAppend(&text, ",seed=", spec.seed, ",compute=", FormatCompute(spec.compute),
                  FormatMatmul(spec.matmul));
  if (spec.scale != 0.0f) absl::StrAppendFormat(&text, ",scale=%.9g", spec.scale);
  if (spec.softcap != 0.0f) absl::StrAppendFormat(&text, ",softcap=%.9g", spec.softcap);
  if (spec.window_left.has_value()) absl::StrAppend(&text, ",window_left=", *spec.window_left);
  if (spec.window_right.has_value()) absl::StrAppend(&text, ",window_right=", *spec.window_right);
  if (spec.qk_norm) absl::StrAppend(&text, ",qk_norm=on");
  if (spec.rotary.has_value()) {
    if (spec.rotary->dim != 0) absl::StrAppend(&text, ",rotary_dim=", spec.rotary->dim);
    absl::StrAppendFormat(&text, ",rotary_theta=%.17g,rotary_interleaved=%s", spec.rotary->theta,
                          spec.rotary->interleaved ? "on" : "off");
  }
  if (spec.relative_buckets != 0) {
    absl::StrAppend(&text, ",relative_buckets=", spec.relative_buckets,
                    ",relative_max_distance=", spec.relative_max_distance);
  }
  return text;
}

}  // namespace attend
