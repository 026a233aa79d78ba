// SPDX-License-Identifier: Apache-2.0

// Counts the bytes that the program takes from the heap by operator new, as all of core does.

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "tests/bench/kernels/work.h"

namespace attend::bench {
namespace {

std::atomic<int64_t> live{0}, most{0};

void* Counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  const auto bytes = static_cast<int64_t>(malloc_usable_size(memory));
  const int64_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t seen = most.load(std::memory_order_relaxed);
  while (seen < now && !most.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
  }
  return memory;
}

void Release(void* memory) {
  live.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)), std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace

int64_t WorkingBytes(const nlohmann::json& spec) {
  const Work work = MakeWork(spec);
  int64_t bytes = 0;
  // A fresh thread has none of the memory that threads keep between runs.
  std::thread executor([&] {
    ExecutionContext context(1);
    const int64_t before = live.load();
    most.store(before);
    work.run(context);
    work.run(context);
    bytes = most.load() - before;
  });
  executor.join();
  return bytes;
}

}  // namespace attend::bench

void* operator new(size_t bytes) {
  return attend::bench::Counted(std::malloc(bytes == 0 ? 1 : bytes));
}

void* operator new(size_t bytes, std::align_val_t alignment) {
  const auto unit = static_cast<size_t>(alignment);
  return attend::bench::Counted(std::aligned_alloc(unit, (bytes / unit + 1) * unit));
}

void operator delete(void* memory) noexcept {
  attend::bench::Release(memory);
}
void operator delete(void* memory, size_t) noexcept {
  attend::bench::Release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  attend::bench::Release(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  attend::bench::Release(memory);
}
