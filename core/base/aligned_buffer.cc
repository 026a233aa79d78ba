// SPDX-License-Identifier: Apache-2.0
#include "core/base/aligned_buffer.h"

#include <sys/mman.h>

#include <new>

namespace attend {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// Blocks of several huge pages start on one. The limit bounds the memory that alignment wastes.
constexpr size_t kHugeBlock = 4 * kHugePage;

std::align_val_t Alignment(size_t bytes) {
  return std::align_val_t(bytes >= kHugeBlock ? kHugePage : AlignedBuffer::kAlignment);
}

std::byte* Allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* data = ::operator new(bytes, Alignment(bytes));
#ifdef MADV_HUGEPAGE
  // This is advice: without huge pages the memory works as before. The end of the block, less
  // than a huge page, stays on small pages, so that no more than `bytes` becomes resident.
  if (bytes >= kHugeBlock) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return static_cast<std::byte*>(data);
}

}  // namespace

AlignedBuffer::AlignedBuffer(size_t bytes) : data_(Allocate(bytes), Free{bytes}), size_(bytes) {}

void AlignedBuffer::Free::operator()(std::byte* data) const {
  ::operator delete(data, Alignment(bytes));
}

}  // namespace attend
