// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_FILES_SAFETENSORS_H_
#define ATTEND_CORE_WEIGHTS_FILES_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/tensor/tensor.h"
#include "core/weights/files/file.h"

namespace attend {

// Longer headers are refused, because parsing takes several times their size in memory. In
// practice a header has 110 bytes per tensor, so the limit allows more than 100,000 tensors.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = uint64_t{16} << 20;

struct SafetensorsEntry {
  std::string dtype;  // the file's own name for it: "F32", "BF16", "I64", ...
  Shape shape;
  // Range of the tensor in bytes from the start of the data.
  uint64_t begin = 0;
  uint64_t end = 0;
};

// One safetensors file: the header's length in 8 little-endian bytes, a JSON header
// {name: {dtype, shape, data_offsets}}, then the data, little-endian and row-major
// (github.com/huggingface/safetensors, "Format"). Open checks everything that can be checked
// without reading the data: every key is known and occurs once, each tensor's range has the
// size that its shape and dtype require, and the ranges cover the data from its first to its
// last byte without holes or overlaps. Immutable, thread-safe.
class Safetensors {
 public:
  // INVALID_ARGUMENT if the file breaks the format; the message names the file and the tensor, or,
  // if the file is a GGUF, says how to convert it.
  // Other errors are those of File::Open and File::ReadAt. Blocks on the disk.
  static absl::StatusOr<Safetensors> Open(std::string path);

  const File& file() const { return file_; }
  const std::map<std::string, SafetensorsEntry, std::less<>>& tensors() const { return tensors_; }
  bool Contains(absl::string_view name) const { return tensors_.find(name) != tensors_.end(); }

  // Reads the elements of tensor `name` and widens them to float32, which is exact for F16 and
  // BF16. INVALID_ARGUMENT if the tensor is missing, its shape is not `shape`, or its dtype is
  // none of F32, F16 and BF16. Blocks on the disk.
  absl::StatusOr<std::vector<float>> ReadFloat32(absl::string_view name,
                                                 absl::Span<const int64_t> shape) const;

 private:
  explicit Safetensors(File file) : file_(std::move(file)) {}

  File file_;
  uint64_t data_start_ = 0;
  std::map<std::string, SafetensorsEntry, std::less<>> tensors_;
};

// INVALID_ARGUMENT with the message `FILE: tensor "NAME" PREDICATE`.
absl::Status TensorError(absl::string_view file, absl::string_view tensor,
                         absl::string_view predicate);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_FILES_SAFETENSORS_H_
