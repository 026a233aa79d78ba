// SPDX-License-Identifier: Apache-2.0
#include "core/weights/files/safetensors.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"
#include "core/base/status.h"
#include "core/tensor/convert.h"
#include "core/weights/files/gguf.h"
#include "core/weights/files/json.h"

namespace attend {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are stored in little-endian order and read without conversion");

// Types narrower than a byte are not listed; a file that holds one is refused.
struct Dtype {
  absl::string_view name;
  int64_t bytes;  // per element
};
constexpr Dtype kDtypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
    {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
    {"F32", 4},  {"I64", 8}, {"U64", 8}, {"F64", 8},     {"C64", 8},
};

absl::StatusOr<int64_t> FindElementBytes(absl::string_view dtype) {
  for (const Dtype& known : kDtypes) {
    if (known.name == dtype) return known.bytes;
  }
  return absl::InvalidArgumentError(absl::StrCat("dtype ", Quoted(dtype), " is not known"));
}

absl::StatusOr<std::vector<int64_t>> ParseInts(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" is not an array"));
  }
  std::vector<int64_t> numbers;
  for (const Json& element : *found) {
    const std::optional<int64_t> number = AsInt(element);
    if (!number.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", key, "\" holds an element that is not a non-negative 64-bit integer"));
    }
    numbers.push_back(*number);
  }
  return numbers;
}

absl::StatusOr<int64_t> CheckedBytes(int64_t element_bytes, absl::Span<const int64_t> shape) {
  int64_t bytes = element_bytes;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the size of shape ", ToString(shape), " does not fit 64 bits"));
    }
  }
  return bytes;
}

absl::StatusOr<SafetensorsEntry> ParseEntry(const Json& json, uint64_t data_bytes) {
  if (!json.is_object()) return absl::InvalidArgumentError("the entry is not an object");
  for (const auto& item : json.items()) {
    if (item.key() != "dtype" && item.key() != "shape" && item.key() != "data_offsets") {
      return absl::InvalidArgumentError(absl::StrCat("key ", Quoted(item.key()), " is not known"));
    }
  }
  SafetensorsEntry entry;
  const auto dtype = json.find("dtype");
  if (dtype == json.end() || !dtype->is_string()) {
    return absl::InvalidArgumentError("\"dtype\" is not a string");
  }
  entry.dtype = dtype->get_ref<const std::string&>();
  ATTEND_ASSIGN_OR_RETURN(const int64_t element_bytes, FindElementBytes(entry.dtype));
  ATTEND_ASSIGN_OR_RETURN(const std::vector<int64_t> shape, ParseInts(json, "shape"));
  entry.shape.assign(shape.begin(), shape.end());
  ATTEND_ASSIGN_OR_RETURN(const int64_t bytes, CheckedBytes(element_bytes, shape));
  ATTEND_ASSIGN_OR_RETURN(const std::vector<int64_t> offsets, ParseInts(json, "data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    return absl::InvalidArgumentError("\"data_offsets\" is not [begin, end] with begin <= end");
  }
  entry.begin = static_cast<uint64_t>(offsets[0]);
  entry.end = static_cast<uint64_t>(offsets[1]);
  if (entry.end > data_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the range ends at byte ", entry.end, " of the data, which has ", data_bytes, " bytes"));
  }
  if (entry.end - entry.begin != static_cast<uint64_t>(bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", ToString(entry.shape), " of ", entry.dtype, " takes ", bytes,
                     " bytes, but \"data_offsets\" spans ", entry.end - entry.begin));
  }
  return entry;
}

// Checks that the ranges of all tensors tile the data.
absl::Status CheckTiling(const File& file,
                         const std::map<std::string, SafetensorsEntry, std::less<>>& tensors,
                         uint64_t data_bytes) {
  using Named = std::pair<absl::string_view, const SafetensorsEntry*>;
  std::vector<Named> order;
  for (const auto& [name, entry] : tensors) order.emplace_back(name, &entry);
  std::sort(order.begin(), order.end(), [](const Named& a, const Named& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  uint64_t covered = 0;
  for (const auto& [name, entry] : order) {
    if (entry->begin != covered) {
      return TensorError(file.path(), name,
                         absl::StrCat("starts at byte ", entry->begin, " of the data, ",
                                      entry->begin < covered ? "inside" : "with a hole after",
                                      " the tensor that ends at byte ", covered));
    }
    covered = entry->end;
  }
  if (covered != data_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": ", data_bytes - covered,
                     " bytes after the last tensor belong to no tensor"));
  }
  return absl::OkStatus();
}

absl::Status CheckMetadata(const File& file, const Json& metadata) {
  bool fits = metadata.is_object();
  for (auto item = metadata.begin(); fits && item != metadata.end(); ++item) {
    fits = item->is_string();
  }
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": \"__metadata__\" is not an object of strings"));
}

absl::StatusOr<std::string> ReadHeader(const File& file) {
  constexpr uint64_t kPrefix = sizeof(uint64_t);
  if (IsGguf(file)) return GgufError(file.path());
  if (file.size() < kPrefix) {
    return absl::InvalidArgumentError(absl::StrCat(file.path(), ": the file has ", file.size(),
                                                   " bytes, too few for the safetensors format"));
  }
  uint64_t bytes = 0;
  ATTEND_RETURN_IF_ERROR(file.ReadAt(0, &bytes, sizeof(bytes)));
  if (bytes > kMaxSafetensorsHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        file.path(), ": the header has ", bytes, " bytes; at most ", kMaxSafetensorsHeaderBytes,
        " are allowed. The file may have another format."));
  }
  if (bytes > file.size() - kPrefix) {
    return absl::InvalidArgumentError(absl::StrCat(file.path(), ": the header has ", bytes,
                                                   " bytes, but the file has ", file.size()));
  }
  std::string header(bytes, '\0');
  ATTEND_RETURN_IF_ERROR(file.ReadAt(kPrefix, header.data(), header.size()));
  if (header.empty() || header[0] != '{') {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": the header does not start with '{'"));
  }
  return header;
}

}  // namespace

absl::Status TensorError(absl::string_view file, absl::string_view tensor,
                         absl::string_view predicate) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": tensor ", Quoted(tensor), " ", predicate));
}

absl::StatusOr<Safetensors> Safetensors::Open(std::string path) {
  ATTEND_ASSIGN_OR_RETURN(File file, File::Open(std::move(path)));
  ATTEND_ASSIGN_OR_RETURN(const std::string header, ReadHeader(file));
  ATTEND_ASSIGN_OR_RETURN(const Json json, ParseJson(header, file.path()));
  Safetensors result(std::move(file));
  result.data_start_ = sizeof(uint64_t) + header.size();
  const uint64_t data_bytes = result.file_.size() - result.data_start_;
  for (const auto& item : json.items()) {
    if (item.key() == "__metadata__") {
      ATTEND_RETURN_IF_ERROR(CheckMetadata(result.file_, item.value()));
      continue;
    }
    absl::StatusOr<SafetensorsEntry> entry = ParseEntry(item.value(), data_bytes);
    if (!entry.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          result.file_.path(), ": tensor ", Quoted(item.key()), ": ", entry.status().message()));
    }
    result.tensors_.emplace(item.key(), *std::move(entry));
  }
  ATTEND_RETURN_IF_ERROR(CheckTiling(result.file_, result.tensors_, data_bytes));
  return result;
}

absl::StatusOr<std::vector<float>> Safetensors::ReadFloat32(absl::string_view name,
                                                            absl::Span<const int64_t> shape) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return TensorError(file_.path(), name, "is missing");
  const SafetensorsEntry& entry = found->second;
  if (absl::MakeConstSpan(entry.shape) != shape) {
    return TensorError(
        file_.path(), name,
        absl::StrCat("has shape ", ToString(entry.shape), ", but must have ", ToString(shape)));
  }
  const uint64_t start = data_start_ + entry.begin;
  const uint64_t bytes = entry.end - entry.begin;
  if (entry.dtype == "F32") {
    std::vector<float> values(bytes / sizeof(float));
    ATTEND_RETURN_IF_ERROR(file_.ReadAt(start, values.data(), bytes));
    return values;
  }
  if (entry.dtype == "F16" || entry.dtype == "BF16") {
    std::vector<std::byte> halves(bytes);
    ATTEND_RETURN_IF_ERROR(file_.ReadAt(start, halves.data(), bytes));
    std::vector<float> values(bytes / 2);
    ConvertToFloat(entry.dtype == "F16" ? DataType::kFloat16 : DataType::kBFloat16, halves.data(),
                   values.data(), static_cast<int64_t>(values.size()));
    return values;
  }
  return TensorError(file_.path(), name,
                     absl::StrCat("has dtype ", entry.dtype, ", but must have F32, F16 or BF16"));
}

}  // namespace attend
