// SPDX-License-Identifier: Apache-2.0
#include "tests/support/allocation_count.h"

#include <cstdlib>
#include <new>

namespace attend {
namespace {
thread_local size_t allocations = 0;
}  // namespace

size_t AllocationCount() {
  return allocations;
}

}  // namespace attend

void* operator new(size_t bytes) {
  ++attend::allocations;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t /*bytes*/) noexcept {
  std::free(memory);
}
