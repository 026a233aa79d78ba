// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_ARRAYS_H_
#define ATTEND_CLIENT_CLI_ARRAYS_H_

// Arrays in files: NumPy's .npy (numpy.lib.format, versions 1 to 3) and
// .safetensors. Readers are strict: what does not add up is INVALID_ARGUMENT that
// names the file, before anything large is allocated. NOT_FOUND and
// PERMISSION_DENIED as the system says. float64 is read as float32.

#include <fstream>
#include <istream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attend/tensor.h"

namespace attend::cli {

using client::DataType;
using client::Tensor;

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

absl::StatusOr<Tensor> ReadNpy(const std::string& path);

// bfloat16, which NumPy does not have, is written as float32 (exactly).
absl::Status WriteNpy(const std::string& path, const Tensor& tensor);

// Every tensor of the file, by name. Tensors of types other than float16,
// bfloat16, float32, float64 and bool are refused.
absl::StatusOr<std::map<std::string, Tensor>> ReadSafetensors(const std::string& path);
absl::Status WriteSafetensors(const std::string& path, absl::Span<const NamedTensor> tensors);

// By the file's extension. "FILE" or "FILE#TENSOR"; without a name a
// .safetensors file must hold `default_name` or one tensor only.
absl::StatusOr<Tensor> ReadArray(const std::string& spec, const std::string& default_name);

// A new tensor of this type and shape, not initialised; `data` is its memory.
Tensor NewTensor(DataType type, client::Shape shape, void** data);

// Rounds to nearest where `type` is narrower. bool cannot be converted.
absl::StatusOr<Tensor> ConvertTensor(const Tensor& tensor, DataType type);

namespace internal {

// Of an array in a file. float64 exists here only.
struct FileArray {
  DataType type;
  bool float64 = false;
  client::Shape shape;
  int64_t offset = 0;  // of the data, from the start of the file
  int64_t size_bytes = 0;
};

// Reads the data; the range must lie in the file.
absl::StatusOr<Tensor> ReadData(std::istream& file, const std::string& path,
                                const FileArray& array);

// Product of the shape times the element's size, or nothing where it overflows
// or a size is negative.
std::optional<int64_t> SizeBytes(const FileArray& array);

absl::StatusOr<std::ifstream> OpenFile(const std::string& path, int64_t* size_bytes);
absl::Status WriteFile(const std::string& path, const std::vector<absl::string_view>& parts);

}  // namespace internal
}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_ARRAYS_H_
