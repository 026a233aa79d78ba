// SPDX-License-Identifier: Apache-2.0
#include "client/cli/call_inputs.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/random_tensor.h"

namespace attend::cli {
namespace {

using Tensors = std::map<std::string, Tensor>;

// One of the tensors of a request.
struct Role {
  std::string name;  // in --input
  std::string option;
  const std::string& file;  // that the option names; empty: not given
  bool random;              // --random makes it
  bool typed;               // --dtype converts it
  Tensor* tensor;
};

std::vector<Role> Roles(const CallArguments& from, CallInputs* inputs) {
  const bool random = !from.random.empty();
  const bool random_operator = random && from.use_operator;
  return {
      {"query", "--query", from.query, random, true, &inputs->query},
      {"key", "--key", from.key, random_operator, true, &inputs->key},
      {"value", "--value", from.value, random_operator, true, &inputs->value},
      {"mask", "--mask", from.mask, false, false, &inputs->mask},
      {"bias", "--bias", from.bias, false, false, &inputs->bias},
      {"alibi_slopes", "--alibi-slopes", from.alibi_slopes, false, false, &inputs->alibi_slopes}};
}

absl::StatusOr<Tensors> ReadInputFile(const std::string& path, const std::vector<Role>& roles) {
  if (path.empty()) return Tensors();
  absl::StatusOr<Tensors> tensors = ReadSafetensors(path);
  if (!tensors.ok()) return tensors;
  std::vector<std::string> names;
  names.reserve(roles.size());
  for (const Role& role : roles) names.push_back(role.name);
  for (const auto& [name, tensor] : *tensors) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return absl::InvalidArgumentError(absl::StrCat("--input: the name of tensor \"", name,
                                                     "\" must be one of ",
                                                     absl::StrJoin(names, ", ")));
    }
  }
  return tensors;
}

// The tensor as it is given, or an empty one.
absl::StatusOr<Tensor> ReadRole(const Role& role, const CallArguments& from, const Tensors& file,
                                uint64_t* seed) {
  const auto in_file = file.find(role.name);
  std::vector<absl::string_view> sources;
  if (in_file != file.end()) sources.push_back("--input");
  if (!role.file.empty()) sources.push_back(role.option);
  if (role.random) sources.push_back("--random");
  if (sources.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(role.name, " is given twice: by ", sources[0], " and ", sources[1]));
  }
  if (in_file != file.end()) return in_file->second;
  if (!role.file.empty()) return ReadArray(role.file, role.name);
  if (!role.random) return Tensor();
  absl::StatusOr<client::Shape> shape = ParseShape(from.random);
  if (!shape.ok()) return shape.status();
  return RandomTensor(*shape, (*seed)++);
}

absl::Status Convert(const Role& role, client::DataType type) {
  absl::StatusOr<Tensor> converted = ConvertTensor(*role.tensor, type);
  if (!converted.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(role.name, ": ", converted.status().message()));
  }
  *role.tensor = *std::move(converted);
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadInputs(const CallArguments& from, CallInputs* inputs) {
  const std::vector<Role> roles = Roles(from, inputs);
  const absl::StatusOr<Tensors> file = ReadInputFile(from.input, roles);
  if (!file.ok()) return file.status();
  auto seed = static_cast<uint64_t>(from.seed);
  for (const Role& role : roles) {
    absl::StatusOr<Tensor> tensor = ReadRole(role, from, *file, &seed);
    if (!tensor.ok()) return tensor.status();
    *role.tensor = *std::move(tensor);
    if (!role.typed || from.type_name.empty() || role.tensor->data() == nullptr) continue;
    const absl::StatusOr<DataType> type = ParseDataType(from.type_name);
    if (!type.ok()) return type.status();
    if (absl::Status s = Convert(role, *type); !s.ok()) return s;
  }
  if (inputs->query.data() == nullptr) {
    return absl::InvalidArgumentError("there is no query; give --query, --input or --random");
  }
  return absl::OkStatus();
}

}  // namespace attend::cli
