// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/cli/arrays.h"
#include "nlohmann/json.hpp"

// The format: https://github.com/huggingface/safetensors#format
namespace attend::cli {
namespace {

using internal::FileArray;
using nlohmann::json;

constexpr int64_t kMaxHeaderBytes = 100 << 20;  // the format's own limit
constexpr size_t kMaxDepth = 8;                 // a valid header has 3

// Discarded where the text is not JSON, holds a key twice or nests too deep.
json ParseStrictly(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  bool valid = true;
  const auto callback = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) {
      keys.emplace_back();
      valid = valid && keys.size() < kMaxDepth;
    } else if (event == json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == json::parse_event_t::key) {
      valid = valid && keys.back().insert(parsed.get<std::string>()).second;
    }
    return valid;
  };
  json parsed = json::parse(text, callback, /*allow_exceptions=*/false);
  return valid ? parsed : json(json::value_t::discarded);
}

bool SetType(const std::string& name, FileArray* array) {
  if (name == "F32") {
    array->type = DataType::kFloat32;
  } else if (name == "BF16") {
    array->type = DataType::kBFloat16;
  } else if (name == "F16") {
    array->type = DataType::kFloat16;
  } else if (name == "BOOL") {
    array->type = DataType::kBool;
  } else if (name == "F64") {
    array->type = DataType::kFloat32;
    array->float64 = true;
  } else {
    return false;
  }
  return true;
}

bool IsSize(const json& value) {
  return value.is_number_unsigned() && value.get<uint64_t>() <= uint64_t{INT64_MAX};
}

// `data_bytes`: how many bytes follow the header in the file.
absl::StatusOr<FileArray> ReadEntry(const json& entry, int64_t data_bytes) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry["shape"].is_array() || !entry.contains("data_offsets") ||
      !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2) {
    return absl::InvalidArgumentError("needs dtype, shape and data_offsets");
  }
  FileArray array;
  const auto& dtype = entry["dtype"].get_ref<const std::string&>();
  if (!SetType(dtype, &array)) {
    return absl::InvalidArgumentError(
        absl::StrCat("type ", dtype, " is not one of F32, BF16, F16, F64, BOOL"));
  }
  for (const json& size : entry["shape"]) {
    if (!IsSize(size))
      return absl::InvalidArgumentError(
          "has an invalid shape: sizes must be whole numbers of 0 or more");
    array.shape.push_back(size.get<int64_t>());
  }
  const json& offsets = entry["data_offsets"];
  if (!IsSize(offsets[0]) || !IsSize(offsets[1]) || offsets[0] > offsets[1] ||
      offsets[1].get<int64_t>() > data_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("has data_offsets outside the ", data_bytes, " bytes of data"));
  }
  array.offset = offsets[0].get<int64_t>();
  array.size_bytes = offsets[1].get<int64_t>() - array.offset;
  if (SizeBytes(array) != array.size_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("shape ", client::ToString(array.shape), " of ",
                                                   dtype, " does not fit its ", array.size_bytes,
                                                   " bytes"));
  }
  return array;
}

const char* TypeName(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return "F32";
    case DataType::kBFloat16:
      return "BF16";
    case DataType::kFloat16:
      return "F16";
    case DataType::kBool:
      return "BOOL";
  }
  return "";
}

}  // namespace

absl::StatusOr<std::map<std::string, Tensor>> ReadSafetensors(const std::string& path) {
  absl::StatusOr<InputFile> file = OpenFile(path);
  if (!file.ok()) return file.status();
  return ReadSafetensors(*file);
}

absl::StatusOr<std::map<std::string, Tensor>> ReadSafetensors(InputFile& file) {
  const auto refuse = [&file](const auto&... why) {
    return absl::InvalidArgumentError(absl::StrCat(file.name, ": ", why...));
  };
  std::istream& stream = *file.stream;
  const int64_t file_bytes = file.size_bytes;

  uint64_t header_bytes = 0;
  stream.read(reinterpret_cast<char*>(&header_bytes), sizeof(header_bytes));
  if (!stream) return refuse("is not a .safetensors file: too short");
  if (header_bytes > static_cast<uint64_t>(std::min(kMaxHeaderBytes, file_bytes - 8))) {
    return refuse("is not a .safetensors file: a header of ", header_bytes, " bytes in a file of ",
                  file_bytes);
  }
  std::string text(header_bytes, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  const json header = ParseStrictly(text);
  if (!stream || !header.is_object()) return refuse("the header is not valid JSON");

  const int64_t data_start = 8 + static_cast<int64_t>(header_bytes);
  std::vector<std::pair<std::string, FileArray>> arrays;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    absl::StatusOr<FileArray> array = ReadEntry(entry, file_bytes - data_start);
    if (!array.ok()) return refuse("tensor \"", name, "\" ", array.status().message());
    arrays.emplace_back(name, *std::move(array));
  }
  std::sort(arrays.begin(), arrays.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.offset, a.second.size_bytes) <
           std::pair(b.second.offset, b.second.size_bytes);
  });
  int64_t end = 0;
  for (const auto& [name, array] : arrays) {
    if (array.offset != end) return refuse("tensor \"", name, "\" overlaps or leaves a hole");
    end += array.size_bytes;
  }
  if (end != file_bytes - data_start) {
    return refuse("holds ", file_bytes - data_start, " bytes of data where its tensors take ", end);
  }

  std::map<std::string, Tensor> tensors;
  for (auto& [name, array] : arrays) {
    array.offset += data_start;
    absl::StatusOr<Tensor> tensor = internal::ReadData(file, array);
    if (!tensor.ok()) return tensor.status();
    tensors.emplace(name, *std::move(tensor));
  }
  return tensors;
}

absl::Status WriteSafetensors(const std::string& path, absl::Span<const NamedTensor> tensors) {
  json header = json::object();
  size_t offset = 0;
  for (const NamedTensor& each : tensors) {
    header[each.name] = {{"dtype", TypeName(each.tensor.type())},
                         {"shape", each.tensor.shape()},
                         {"data_offsets", {offset, offset + each.tensor.size_bytes()}}};
    offset += each.tensor.size_bytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t header_bytes = text.size();
  std::vector<absl::string_view> parts = {
      absl::string_view(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes)), text};
  for (const NamedTensor& each : tensors) {
    parts.emplace_back(static_cast<const char*>(each.tensor.data()), each.tensor.size_bytes());
  }
  return WriteFile(path, parts);
}

}  // namespace attend::cli
