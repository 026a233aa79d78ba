// SPDX-License-Identifier: Apache-2.0
#include "core/weights/files/checkpoint.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/weights/files/file.h"
#include "core/weights/files/gguf.h"

namespace attend {
namespace {

// Real files are far smaller: below 10 KiB and below 1 MiB.
constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxIndexBytes = kMaxSafetensorsHeaderBytes;

absl::StatusOr<Json> ReadJsonObject(const std::string& path, uint64_t max_bytes) {
  ATTEND_ASSIGN_OR_RETURN(const File file, File::Open(path));
  ATTEND_ASSIGN_OR_RETURN(const std::string text, ReadText(file, max_bytes));
  ATTEND_ASSIGN_OR_RETURN(Json json, ParseJson(text, path));
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the file does not hold a JSON object"));
  }
  return json;
}

// Refuses quantised weights. Their tensors have other names, types and shapes than config.json
// suggests, so that any later message would mislead.
absl::Status CheckNotQuantised(const Json& config, absl::string_view config_path) {
  const auto found = config.find("quantization_config");
  if (found == config.end() || found->is_null()) return absl::OkStatus();
  std::string method;
  if (found->is_object()) {
    const auto name = found->find("quant_method");
    if (name != found->end() && name->is_string()) {
      method = absl::StrCat(" to quant_method ", Quoted(name->get_ref<const std::string&>()));
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(config_path, ": \"quantization_config\" is set", method,
                   ": the weights are quantised, but only weights of type F32, F16 and BF16 load; "
                   "save the model without quantisation"));
}

// The error of a directory that lacks a file: `status`, or, if the directory holds a GGUF instead,
// how to convert that.
absl::Status ExplainLack(const std::string& directory, absl::Status status) {
  const std::optional<std::string> gguf = FindGguf(directory);
  return gguf.has_value() ? GgufError(*gguf) : std::move(status);
}

// Whether `name` is a plain file name, so that an index cannot reach outside its directory.
bool IsShardName(absl::string_view name) {
  return absl::EndsWith(name, ".safetensors") && !absl::StrContains(name, '/') &&
         !absl::StrContains(name, '\\') && !absl::StartsWith(name, ".");
}

}  // namespace

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& directory) {
  Checkpoint result;
  result.config_path_ = absl::StrCat(directory, "/config.json");
  absl::StatusOr<Json> config = ReadJsonObject(result.config_path_, kMaxConfigBytes);
  if (absl::IsNotFound(config.status())) return ExplainLack(directory, config.status());
  if (!config.ok()) return config.status();
  result.config_ = *std::move(config);
  ATTEND_RETURN_IF_ERROR(CheckNotQuantised(result.config_, result.config_path_));
  const std::string single = absl::StrCat(directory, "/model.safetensors");
  const std::string index = absl::StrCat(directory, "/model.safetensors.index.json");
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    result.weights_path_ = single;
    ATTEND_RETURN_IF_ERROR(result.OpenSingle());
  } else if (std::filesystem::exists(index, ignored)) {
    result.weights_path_ = index;
    ATTEND_RETURN_IF_ERROR(result.OpenSharded(directory));
  } else {
    return ExplainLack(
        directory, absl::NotFoundError(absl::StrCat(
                       directory, ": the directory holds neither model.safetensors nor ",
                       "model.safetensors.index.json; no other format of weights is supported")));
  }
  return result;
}

absl::Status Checkpoint::OpenSingle() {
  ATTEND_ASSIGN_OR_RETURN(Safetensors file, Safetensors::Open(weights_path_));
  ATTEND_ASSIGN_OR_RETURN(sha256_, Sha256Hex(file.file()));
  for (const auto& item : file.tensors()) shards_by_tensor_.emplace(item.first, 0);
  shards_.push_back(std::move(file));
  return absl::OkStatus();
}

absl::Status Checkpoint::OpenSharded(const std::string& directory) {
  ATTEND_ASSIGN_OR_RETURN(const Json index, ReadJsonObject(weights_path_, kMaxIndexBytes));
  const auto weight_map = index.find("weight_map");
  if (weight_map == index.end() || !weight_map->is_object() || weight_map->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(weights_path_, ": \"weight_map\" is not an object with at least one tensor"));
  }
  std::map<std::string, size_t> shards;  // indices into shards_, in order of file name
  for (const auto& item : weight_map->items()) {
    const auto* name = item.value().get_ptr<const std::string*>();
    if (name == nullptr || !IsShardName(*name)) {
      return TensorError(weights_path_, item.key(),
                         "has a shard that is not the plain name of a .safetensors file");
    }
    shards.emplace(*name, 0);
  }
  std::string digests;
  for (auto& [name, shard] : shards) {
    ATTEND_ASSIGN_OR_RETURN(Safetensors file,
                            Safetensors::Open(absl::StrCat(directory, "/", name)));
    ATTEND_ASSIGN_OR_RETURN(const std::string digest, Sha256Hex(file.file()));
    digests += digest;
    shard = shards_.size();
    shards_.push_back(std::move(file));
  }
  ATTEND_ASSIGN_OR_RETURN(sha256_, Sha256Hex(digests));
  for (const auto& item : weight_map->items()) {
    const size_t shard = shards.at(item.value().get_ref<const std::string&>());
    if (!shards_[shard].Contains(item.key())) {
      return TensorError(
          shards_[shard].file().path(), item.key(),
          absl::StrCat("is missing, although ", weights_path_, " assigns it to this file"));
    }
    shards_by_tensor_.emplace(item.key(), shard);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> Checkpoint::ReadFloat32(const std::string& tensor,
                                                           absl::Span<const int64_t> shape) const {
  const auto found = shards_by_tensor_.find(tensor);
  if (found == shards_by_tensor_.end()) return TensorError(weights_path_, tensor, "is missing");
  return shards_[found->second].ReadFloat32(tensor, shape);
}

}  // namespace attend
