#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/weights/json.h"
#include "core/weights/load.h"

namespace attend {
namespace {

using Options = std::map<std::string, std::string>;

absl::Status CheckName(absl::string_view name) {
  constexpr size_t kMaxName = 128;
  bool fits = !name.empty() && name.size() <= kMaxName && name.front() != '/' && name.back() != '/';
  for (const char c : name) {
    fits = fits && (absl::ascii_isalnum(c) || absl::StrContains("._-/", c));
  }
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("name ", Quoted(name), ": must be 1 to ", kMaxName,
                   " letters, digits, '.', '_', '-' or '/', '/' neither first nor last"));
}

absl::StatusOr<Options> ParseOptions(absl::string_view text, const std::set<std::string>& allowed) {
  Options options;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> option =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (allowed.count(option.first) == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "unknown option ", Quoted(option.first), "; allowed are ", absl::StrJoin(allowed, ", ")));
    }
    if (!options.insert(option).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("option ", Quoted(option.first), " is given twice"));
    }
  }
  return options;
}

// Leaves `value` as it is where the option is absent.
absl::Status GetSize(const Options& options, const std::string& key, int64_t& value) {
  const auto found = options.find(key);
  if (found == options.end()) return absl::OkStatus();
  if (absl::SimpleAtoi(found->second, &value) && value >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, "=", Quoted(found->second), ": must be a positive integer"));
}

// A count that may be 0.
absl::Status GetCount(const Options& options, const std::string& key,
                      std::optional<int64_t>& value) {
  const auto found = options.find(key);
  if (found == options.end()) return absl::OkStatus();
  if (absl::SimpleAtoi(found->second, &value.emplace()) && *value >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, "=", Quoted(found->second), ": must be an integer from 0 on"));
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
      absl::StrCat(key, "=", Quoted(found->second), ": must be a positive number"));
}

absl::Status GetSwitch(const Options& options, const std::string& key, bool& value) {
  const auto found = options.find(key);
  if (found == options.end()) return absl::OkStatus();
  value = found->second == "on";
  if (value || found->second == "off") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(key, "=", Quoted(found->second), ": must be on or off"));
}

// What checkpoints of families set, beside the sizes.
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
  for (const char* one : {"rotary_dim", "rotary_theta", "rotary_interleaved"}) {
    if (options.count(one) > 0) spec.rotary = rotary;
  }
  ATTEND_RETURN_IF_ERROR(GetSize(options, "relative_buckets", spec.relative_buckets));
  if (options.count("relative_max_distance") > 0 && spec.relative_buckets == 0) {
    return absl::InvalidArgumentError("relative_max_distance needs relative_buckets");
  }
  return GetSize(options, "relative_max_distance", spec.relative_max_distance);
}

absl::Status GetCompute(const Options& options, ComputeType& compute) {
  const auto found = options.find("compute");
  if (found == options.end() || found->second == "f32") return absl::OkStatus();
  if (found->second != "bf16") {
    return absl::InvalidArgumentError(
        absl::StrCat("compute=", Quoted(found->second), ": must be f32 or bf16"));
  }
  compute = ComputeType::kBFloat16;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelSpec> ParseModelSpec(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), ": must be NAME=PATH or NAME=PATH:num_heads=12,compute=bf16"));
  }
  ModelSpec spec;
  spec.name = std::string(text.substr(0, equals));
  ATTEND_RETURN_IF_ERROR(CheckName(spec.name));
  absl::string_view path = text.substr(equals + 1);
  // A colon without a '=' after it belongs to the path.
  const size_t colon = path.rfind(':');
  if (colon != absl::string_view::npos && absl::StrContains(path.substr(colon), '=')) {
    ATTEND_ASSIGN_OR_RETURN(const Options options,
                            ParseOptions(path.substr(colon + 1), {"num_heads", "compute"}));
    ATTEND_RETURN_IF_ERROR(GetSize(options, "num_heads", spec.num_heads));
    ATTEND_RETURN_IF_ERROR(GetCompute(options, spec.compute));
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
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), ": must be NAME:embed_dim=768,num_heads=12,..."));
  }
  RandomLayerSpec spec;
  spec.name = std::string(parts.first);
  ATTEND_RETURN_IF_ERROR(CheckName(spec.name));
  ATTEND_ASSIGN_OR_RETURN(
      const Options options,
      ParseOptions(parts.second, {"embed_dim", "num_heads", "num_kv_heads", "head_dim", "seed",
                                  "compute", "scale", "softcap", "window_left", "window_right",
                                  "qk_norm", "rotary_dim", "rotary_theta", "rotary_interleaved",
                                  "relative_buckets", "relative_max_distance"}));
  for (const char* needed : {"embed_dim", "num_heads"}) {
    if (options.count(needed) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("random layer ", spec.name, ": ", needed, " is needed"));
    }
  }
  ATTEND_RETURN_IF_ERROR(GetSize(options, "embed_dim", spec.embed_dim));
  ATTEND_RETURN_IF_ERROR(GetSize(options, "num_heads", spec.num_heads));
  ATTEND_RETURN_IF_ERROR(GetSize(options, "num_kv_heads", spec.num_kv_heads));
  ATTEND_RETURN_IF_ERROR(GetSize(options, "head_dim", spec.head_dim));
  ATTEND_RETURN_IF_ERROR(GetCompute(options, spec.compute));
  ATTEND_RETURN_IF_ERROR(GetVariants(options, spec));
  const auto seed = options.find("seed");
  if (seed != options.end() && !absl::SimpleAtoi(seed->second, &spec.seed)) {
    return absl::InvalidArgumentError(
        absl::StrCat("seed=", Quoted(seed->second), ": must be an integer from 0 to 2^64 - 1"));
  }
  return spec;
}

}  // namespace attend
