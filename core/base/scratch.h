#ifndef ATTEND_CORE_BASE_SCRATCH_H_
#define ATTEND_CORE_BASE_SCRATCH_H_

#include <algorithm>
#include <cstddef>

#include "core/base/aligned_buffer.h"

namespace attend {

// Working memory that a thread keeps between uses, so that a warm path does not
// allocate. Contents do not survive Reserve. Thread-compatible.
class Scratch {
 public:
  // Memory above `max_kept_bytes` is given back at the next smaller Reserve.
  explicit Scratch(size_t max_kept_bytes) : max_kept_bytes_(max_kept_bytes) {}

  // At least `bytes`, on a cache line; valid until the next call.
  std::byte* Reserve(size_t bytes) {
    const bool too_small = buffer_.size() < bytes;
    const bool too_large = buffer_.size() > std::max(bytes, max_kept_bytes_);
    if (too_small || too_large) {
      buffer_ = AlignedBuffer();  // first, so that the peak is the larger of both
      buffer_ = AlignedBuffer(bytes);
    }
    return buffer_.data();
  }

 private:
  const size_t max_kept_bytes_;
  AlignedBuffer buffer_;
};

// Cuts a block of memory into pieces that each start on a cache line. With
// nullptr it only adds up what they need.
class Carver {
 public:
  explicit Carver(std::byte* data) : data_(data) {}

  template <typename T>
  T* Take(size_t count) {
    T* piece = data_ == nullptr ? nullptr : reinterpret_cast<T*>(data_ + used_);
    constexpr size_t kLine = AlignedBuffer::kAlignment;
    used_ += (count * sizeof(T) + kLine - 1) / kLine * kLine;
    return piece;
  }

  size_t used() const { return used_; }

 private:
  std::byte* data_;
  size_t used_ = 0;
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_SCRATCH_H_
