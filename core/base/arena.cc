#include "core/base/arena.h"

#include <algorithm>

#include "core/base/math.h"

namespace attend {
namespace {

// A block holds at least so much, so that many small pieces do not become many blocks.
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
}

std::byte* Arena::Take(size_t bytes) {
  const size_t size = RoundUp(bytes, AlignedBuffer::kAlignment);
  if (blocks_.empty() || size > blocks_[top_.block].size() - top_.offset) NextBlock(size);
  std::byte* const piece = blocks_[top_.block].data() + top_.offset;
  top_.offset += size;
  used_bytes_ += size;
  peak_bytes_ = std::max(peak_bytes_, used_bytes_);
  return piece;
}

void Arena::NextBlock(size_t bytes) {
  // What nobody uses is freed first, so that the old and the new block are never held together.
  const size_t next = used_bytes_ == 0 ? 0 : top_.block + 1;
  if (next >= blocks_.size() || blocks_[next].size() < bytes) {
    blocks_.resize(std::min(blocks_.size(), next));
    blocks_.emplace_back(std::max({bytes, kMinBlockBytes, next == 0 ? next_bytes_ : 0}));
  }
  top_ = {next, 0};
}

void Arena::ReleaseTo(const Mark& mark) {
  top_ = mark;
  if (used_bytes_ > 0) return;
  if (blocks_.size() > 1) {
    blocks_.clear();
    next_bytes_ = peak_bytes_;
  }
  top_ = {};
  peak_bytes_ = 0;
}

ArenaFrame::~ArenaFrame() {
  arena_.used_bytes_ = used_bytes_;
  arena_.ReleaseTo(mark_);
}

}  // namespace attend
