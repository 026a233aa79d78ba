// SPDX-License-Identifier: Apache-2.0

// A safetensors file. What Open accepts must hold what it says of itself: the ranges cover the
// data, and every tensor of a float type can be read.

#include "core/weights/files/safetensors.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/fuzz/targets/memory_file.h"

namespace attend {
namespace {

void Check(absl::string_view bytes) {
  const MemoryFile memory(bytes);
  const absl::StatusOr<Safetensors> file = Safetensors::Open(memory.path());
  if (!file.ok()) return;
  uint64_t data_bytes = 0;
  for (const auto& [name, entry] : file->tensors()) {
    Require(entry.begin <= entry.end && entry.end <= bytes.size(), "a range lies in the file",
            name);
    data_bytes += entry.end - entry.begin;
    const auto elements = file->ReadFloat32(name, entry.shape);
    const bool is_float = entry.dtype == "F32" || entry.dtype == "F16" || entry.dtype == "BF16";
    Require(elements.ok() == is_float, "tensors of float types can be read, others not", name);
    size_t count = 1;
    for (const int64_t size : entry.shape) count *= static_cast<size_t>(size);
    Require(!elements.ok() || elements->size() == count, "a tensor has its shape's size", name);
  }
  Require(data_bytes + 8 <= bytes.size(), "the ranges do not overlap");
}

}  // namespace
}  // namespace attend

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  attend::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
