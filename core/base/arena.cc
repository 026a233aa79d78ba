// SPDX-License-Identifier: Apache-2.0
#include "core/base/arena.h"

#include <algorithm>

namespace attend {
namespace {

// The smallest block, so that many small allocations do not become many blocks.
constexpr size_t kMinBlockBytes = size_t{4} << 10;

}  // namespace

size_t Arena::held_bytes() const {
  size_t bytes = 0;
  for (const AlignedBuffer& block : blocks_) bytes += block.size();
  return bytes;
}

void Arena::Trim(size_t max_bytes) {
  if (held_bytes() <= max_bytes) return;
  blocks_.clear();
  next_bytes_ = 0;
  Select({});
}

void Arena::Select(const Mark& mark) {
  top_ = mark;
  block_ = blocks_.empty() ? nullptr : blocks_[mark.block].data();
  block_bytes_ = blocks_.empty() ? 0 : blocks_[mark.block].size();
}

void Arena::NextBlock(size_t bytes) {
  // Unused blocks are freed first, so that the old and the new block are never held together.
  const size_t next = used_bytes_ == 0 ? 0 : top_.block + 1;
  if (next >= blocks_.size() || blocks_[next].size() < bytes) {
    blocks_.resize(std::min(blocks_.size(), next));
    blocks_.emplace_back(std::max({bytes, kMinBlockBytes, next == 0 ? next_bytes_ : 0}));
  }
  Select({next, 0});
}

void Arena::ReleaseTo(const Mark& mark, size_t used_bytes) {
  peak_bytes_ = std::max(peak_bytes_, used_bytes_);
  used_bytes_ = used_bytes;
  if (used_bytes_ > 0) return Select(mark);
  if (blocks_.size() > 1) {
    blocks_.clear();
    next_bytes_ = peak_bytes_;
  }
  peak_bytes_ = 0;
  Select({});
}

}  // namespace attend
