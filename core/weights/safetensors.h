#ifndef ATTEND_CORE_WEIGHTS_SAFETENSORS_H_
#define ATTEND_CORE_WEIGHTS_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/tensor/tensor.h"
#include "core/weights/file.h"

namespace attend {

// A longer header is refused: it is 110 bytes a tensor in practice, so this is
// more than 100,000 tensors, and parsing it costs several times its size.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = uint64_t{16} << 20;

struct SafetensorsEntry {
  std::string dtype;  // as the file says it: "F32", "BF16", "I64", ...
  Shape shape;
  uint64_t begin = 0;  // bytes, from the start of the data
  uint64_t end = 0;
};

// One safetensors file: 8 bytes little-endian header length, a JSON header
// {name: {dtype, shape, data_offsets}}, then the data, little-endian row-major
// (github.com/huggingface/safetensors, "Format"). Open checks everything that
// can be checked without the data: each tensor's range has the size that its
// shape and dtype say, the ranges cover the data from its first to its last
// byte, without holes or overlaps, and every key is there once and known.
// Immutable, thread-safe.
class Safetensors {
 public:
  // INVALID_ARGUMENT that names the file and the tensor; else as File::Open.
  static absl::StatusOr<Safetensors> Open(std::string path);

  const File& file() const { return file_; }
  const std::map<std::string, SafetensorsEntry, std::less<>>& tensors() const { return tensors_; }
  bool Contains(absl::string_view name) const { return tensors_.find(name) != tensors_.end(); }

  // The elements of `name`, widened to float32 (exact for F16 and BF16).
  // INVALID_ARGUMENT where it is missing, has another shape, or a dtype other
  // than F32, F16 and BF16. Blocks on the disk.
  absl::StatusOr<std::vector<float>> ReadFloat32(absl::string_view name,
                                                 absl::Span<const int64_t> shape) const;

 private:
  explicit Safetensors(File file) : file_(std::move(file)) {}

  File file_;
  uint64_t data_start_ = 0;
  std::map<std::string, SafetensorsEntry, std::less<>> tensors_;
};

// "FILE: tensor "NAME": WHAT", the form of every refusal.
absl::Status TensorError(absl::string_view file, absl::string_view tensor, absl::string_view what);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_SAFETENSORS_H_
