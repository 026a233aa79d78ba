// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_ARRAYS_H_
#define ATTEND_CLIENT_CLI_ARRAYS_H_

// Arrays in files: NumPy's .npy (numpy.lib.format, versions 1 to 3) and
// .safetensors. Readers are strict: a file that contradicts itself is
// INVALID_ARGUMENT, with its name, before anything large is allocated. Other
// errors are those of files.h, and so is "-" for a standard stream. float64 is
// read as float32.

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attend/tensor.h"
#include "client/cli/files.h"

namespace attend::cli {

using client::DataType;
using client::Tensor;

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

enum class ArrayFormat { kNpy, kSafetensors };

// By the extension of the name; nothing for other names, such as that of a standard stream.
std::optional<ArrayFormat> FormatOfFile(absl::string_view path);

absl::StatusOr<Tensor> ReadNpy(const std::string& path);
absl::StatusOr<Tensor> ReadNpy(InputFile& file);

// bfloat16, which NumPy does not have, is written as float32 (exactly).
absl::Status WriteNpy(const std::string& path, const Tensor& tensor);

// Every tensor of the file, by name. Tensors of types other than float16,
// bfloat16, float32, float64 and bool are refused.
absl::StatusOr<std::map<std::string, Tensor>> ReadSafetensors(const std::string& path);
absl::StatusOr<std::map<std::string, Tensor>> ReadSafetensors(InputFile& file);
absl::Status WriteSafetensors(const std::string& path, absl::Span<const NamedTensor> tensors);

// By the file's extension, and standard input ("-", "-#TENSOR") by its first
// bytes. "FILE" or "FILE#TENSOR"; without a name a .safetensors file must hold
// `default_name` or one tensor only.
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
absl::StatusOr<Tensor> ReadData(InputFile& file, const FileArray& array);

// Product of the shape times the element's size, or nothing where it overflows
// or a size is negative.
std::optional<int64_t> SizeBytes(const FileArray& array);

}  // namespace internal
}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_ARRAYS_H_
