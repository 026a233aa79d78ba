// SPDX-License-Identifier: Apache-2.0
#include "tests/support/largest_block.h"

#include <cstdlib>
#include <new>

namespace attend {

std::atomic<size_t> largest_block{kNoLimit};

}  // namespace attend

void* operator new(size_t bytes, std::align_val_t alignment) {
  const auto unit = static_cast<size_t>(alignment);
  void* memory = bytes > attend::largest_block.load()
                     ? nullptr
                     : std::aligned_alloc(unit, (bytes / unit + 1) * unit);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t /*bytes*/, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
