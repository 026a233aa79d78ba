// SPDX-License-Identifier: Apache-2.0
#include "client/cli/arrays.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace attend::cli {
namespace internal {

absl::StatusOr<std::ifstream> OpenFile(const std::string& path, int64_t* size_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::ErrnoToStatus(errno, path);
  file.seekg(0, std::ios::end);
  *size_bytes = static_cast<int64_t>(file.tellg());
  file.seekg(0);
  // A folder opens, but has no size.
  if (!file || *size_bytes < 0) return absl::InvalidArgumentError(path + ": is not a file");
  return file;
}

absl::Status WriteFile(const std::string& path, const std::vector<absl::string_view>& parts) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file) return absl::ErrnoToStatus(errno, path);
  for (const absl::string_view part : parts) {
    file.write(part.data(), static_cast<std::streamsize>(part.size()));
  }
  file.close();
  if (!file) return absl::UnknownError(path + ": could not be written (is the disk full?)");
  return absl::OkStatus();
}

std::optional<int64_t> SizeBytes(const FileArray& array) {
  auto bytes = static_cast<int64_t>(array.float64 ? 8 : ElementSize(array.type));
  for (const int64_t size : array.shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return bytes;
}

absl::StatusOr<Tensor> ReadData(std::istream& file, const std::string& path,
                                const FileArray& array) {
  file.seekg(array.offset);
  const auto failed = [&] { return absl::InvalidArgumentError(path + ": could not be read"); };
  void* data;
  Tensor tensor = NewTensor(array.type, array.shape, &data);
  if (!array.float64) {
    file.read(static_cast<char*>(data), array.size_bytes);
    if (!file) return failed();
    return tensor;
  }
  std::vector<double> wide(static_cast<size_t>(array.size_bytes) / sizeof(double));
  file.read(reinterpret_cast<char*>(wide.data()), array.size_bytes);
  if (!file) return failed();
  std::transform(wide.begin(), wide.end(), static_cast<float*>(data),
                 [](double value) { return static_cast<float>(value); });
  return tensor;
}

}  // namespace internal

Tensor NewTensor(DataType type, client::Shape shape, void** data) {
  constexpr size_t kAlignment = 64;
  size_t size = ElementSize(type);
  for (const int64_t each : shape) size *= static_cast<size_t>(each);
  *data = std::aligned_alloc(kAlignment, (size / kAlignment + 1) * kAlignment);
  if (*data == nullptr) throw std::bad_alloc();
  return Tensor(type, std::move(shape), std::shared_ptr<void>(*data, &std::free), size);
}

absl::StatusOr<Tensor> ConvertTensor(const Tensor& tensor, DataType type) {
  if (tensor.type() == type) return tensor;
  if (tensor.type() == DataType::kBool || type == DataType::kBool) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot make ", Name(type), " of ", Name(tensor.type())));
  }
  const std::vector<float> floats = tensor.ToFloats();
  void* data;
  Tensor converted = NewTensor(type, tensor.shape(), &data);
  if (type == DataType::kFloat32) {
    std::copy(floats.begin(), floats.end(), static_cast<float*>(data));
  } else if (type == DataType::kBFloat16) {
    Convert(floats, absl::MakeSpan(static_cast<client::BFloat16*>(data), floats.size()));
  } else {
    Convert(floats, absl::MakeSpan(static_cast<client::Float16*>(data), floats.size()));
  }
  return converted;
}

absl::StatusOr<Tensor> ReadArray(const std::string& spec, const std::string& default_name) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(spec, absl::MaxSplits('#', 1));
  const auto& [path, name] = parts;
  if (absl::EndsWith(path, ".npy")) {
    if (!name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(spec, ": a .npy file holds one array and no names"));
    }
    return ReadNpy(path);
  }
  if (!absl::EndsWith(path, ".safetensors")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the name must end in .npy or .safetensors"));
  }
  absl::StatusOr<std::map<std::string, Tensor>> tensors = ReadSafetensors(path);
  if (!tensors.ok()) return tensors.status();
  auto found = tensors->find(name.empty() ? default_name : name);
  if (found == tensors->end() && name.empty() && tensors->size() == 1) found = tensors->begin();
  if (found == tensors->end()) {
    const auto list = absl::StrJoin(
        *tensors, ", ", [](std::string* out, const auto& entry) { out->append(entry.first); });
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": holds no tensor \"", name.empty() ? default_name : name,
                     "\"; choose with ", path, "#NAME one of: ", list));
  }
  return found->second;
}

}  // namespace attend::cli
