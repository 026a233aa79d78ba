// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_ALIGNED_BUFFER_H_
#define ATTEND_CORE_BASE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <memory>

namespace attend {

// Uninitialised memory, aligned to 64 bytes, so that no vector load of a row that starts it
// splits a cache line. Large blocks request huge pages: rows of one head are often a page apart,
// and each would miss the TLB. Move-only; size 0 holds nothing. Thread-compatible.
class AlignedBuffer {
 public:
  static constexpr size_t kAlignment = 64;

  AlignedBuffer() = default;

  // Throws std::bad_alloc as operator new does: callers bound `bytes` first.
  explicit AlignedBuffer(size_t bytes);

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }

 private:
  struct Free {
    size_t bytes;  // number of bytes allocated
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_ALIGNED_BUFFER_H_
