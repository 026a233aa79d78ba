// SPDX-License-Identifier: Apache-2.0
#include "client/cli/arrays.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/standard_streams.h"

namespace attend::cli {
namespace internal {

std::optional<int64_t> SizeBytes(const FileArray& array) {
  auto bytes = static_cast<int64_t>(array.float64 ? 8 : ElementSize(array.type));
  for (const int64_t size : array.shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return bytes;
}

absl::StatusOr<Tensor> ReadData(InputFile& file, const FileArray& array) {
  std::istream& stream = *file.stream;
  stream.seekg(array.offset);
  const auto failed = [&] { return absl::InvalidArgumentError(file.name + ": could not be read"); };
  void* data;
  Tensor tensor = NewTensor(array.type, array.shape, &data);
  if (!array.float64) {
    stream.read(static_cast<char*>(data), array.size_bytes);
    if (!stream) return failed();
    return tensor;
  }
  std::vector<double> wide(static_cast<size_t>(array.size_bytes) / sizeof(double));
  stream.read(reinterpret_cast<char*>(wide.data()), array.size_bytes);
  if (!stream) return failed();
  std::transform(wide.begin(), wide.end(), static_cast<float*>(data),
                 [](double value) { return static_cast<float>(value); });
  return tensor;
}

}  // namespace internal

std::optional<ArrayFormat> FormatOfFile(absl::string_view path) {
  if (absl::EndsWith(path, ".npy")) return ArrayFormat::kNpy;
  if (absl::EndsWith(path, ".safetensors")) return ArrayFormat::kSafetensors;
  return std::nullopt;
}

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

namespace {

// The first bytes of a .npy file.
constexpr absl::string_view kNpyMagic("\x93NUMPY", 6);

// As .safetensors they would be a header of 86 TB.
ArrayFormat FormatOfStream(std::istream& stream) {
  std::string start(kNpyMagic.size(), '\0');
  stream.read(start.data(), static_cast<std::streamsize>(start.size()));
  stream.clear();
  stream.seekg(0);
  return start == kNpyMagic ? ArrayFormat::kNpy : ArrayFormat::kSafetensors;
}

absl::StatusOr<Tensor> TakeTensor(std::map<std::string, Tensor> tensors, const std::string& path,
                                  const std::string& file, const std::string& name,
                                  const std::string& default_name) {
  auto found = tensors.find(name.empty() ? default_name : name);
  if (found == tensors.end() && name.empty() && tensors.size() == 1) found = tensors.begin();
  if (found != tensors.end()) return found->second;
  const std::string names = absl::StrJoin(
      tensors, ", ", [](std::string* out, const auto& entry) { out->append(entry.first); });
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": holds no tensor \"", name.empty() ? default_name : name,
                   "\"; choose with ", path, "#NAME one of: ", names));
}

}  // namespace

absl::StatusOr<Tensor> ReadArray(const std::string& spec, const std::string& default_name) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(spec, absl::MaxSplits('#', 1));
  const auto& [path, name] = parts;
  const std::optional<ArrayFormat> by_name = FormatOfFile(path);
  if (!by_name.has_value() && !IsStandardStream(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the name must end in .npy or .safetensors"));
  }
  absl::StatusOr<InputFile> file = OpenFile(path);
  if (!file.ok()) return file.status();
  const ArrayFormat format = by_name.has_value() ? *by_name : FormatOfStream(*file->stream);
  if (format == ArrayFormat::kNpy) {
    if (name.empty()) return ReadNpy(*file);
    return absl::InvalidArgumentError(
        absl::StrCat(spec, ": a .npy file holds one array and no names"));
  }
  absl::StatusOr<std::map<std::string, Tensor>> tensors = ReadSafetensors(*file);
  if (!tensors.ok()) return tensors.status();
  return TakeTensor(*std::move(tensors), path, file->name, name, default_name);
}

}  // namespace attend::cli
