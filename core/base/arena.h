// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_ARENA_H_
#define ATTEND_CORE_BASE_ARENA_H_

#include <cstddef>
#include <new>
#include <type_traits>
#include <vector>

#include "absl/types/span.h"
#include "core/base/aligned_buffer.h"
#include "core/base/math.h"

namespace attend {

// Working memory of one thread, handed out as a stack of frames. An arena keeps its memory when
// frames close, so that repeated work of the same size allocates nothing: memory that came from
// several blocks the first time comes from a single block the next time. Thread-compatible.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Bytes that the arena holds, whether a frame uses them or not.
  size_t held_bytes() const;

  // Frees all memory if it is more than `max_bytes`. Precondition: no frame is open.
  void Trim(size_t max_bytes);

 private:
  friend class ArenaFrame;

  struct Mark {
    size_t block = 0;   // index of the block that serves the next Take
    size_t offset = 0;  // first free byte of that block
  };

  std::byte* Take(size_t bytes) {
    const size_t size = RoundUp(bytes, AlignedBuffer::kAlignment);
    if (size > block_bytes_ - top_.offset) NextBlock(size);
    std::byte* const piece = block_ + top_.offset;
    top_.offset += size;
    used_bytes_ += size;
    return piece;
  }

  // Makes room for an allocation that the current block has no room for.
  void NextBlock(size_t bytes);
  void ReleaseTo(const Mark& mark, size_t used_bytes);
  void Select(const Mark& mark);

  std::vector<AlignedBuffer> blocks_;
  Mark top_;
  std::byte* block_ = nullptr;  // blocks_[top_.block], or nothing
  size_t block_bytes_ = 0;
  size_t used_bytes_ = 0;  // bytes in open frames
  size_t peak_bytes_ = 0;  // largest used_bytes_ at the end of a frame, while one was open
  size_t next_bytes_ = 0;  // the first block's size, so that one block serves the next frame
};

// Takes memory from an arena and returns all of it when it is destroyed. Frames close in the
// reverse of the order in which they were opened; only the innermost one may take.
class ArenaFrame {
 public:
  explicit ArenaFrame(Arena& arena)
      : arena_(arena), mark_(arena.top_), used_bytes_(arena.used_bytes_) {}
  ~ArenaFrame() { arena_.ReleaseTo(mark_, used_bytes_); }
  ArenaFrame(const ArenaFrame&) = delete;
  ArenaFrame& operator=(const ArenaFrame&) = delete;

  // `count` uninitialised elements on a cache line. Throws std::bad_alloc as operator new
  // does: callers bound `count` first.
  template <typename T>
  T* Take(size_t count) {
    static_assert(std::is_trivially_destructible_v<T>, "a frame runs no destructors");
    // T may be a pointer, whose own size is meant. NOLINTNEXTLINE(bugprone-sizeof-expression)
    return reinterpret_cast<T*>(arena_.Take(count * sizeof(T)));
  }

  template <typename T>
  absl::Span<T> TakeSpan(size_t count) {
    return {Take<T>(count), count};
  }

 private:
  Arena& arena_;
  const Arena::Mark mark_;
  const size_t used_bytes_;
};

// A list in a frame's memory. Its capacity is fixed when it is made.
template <typename T>
class ArenaList {
 public:
  ArenaList(ArenaFrame& frame, size_t capacity) : items_(frame.TakeSpan<T>(capacity)) {}

  // Precondition: size() is below the capacity.
  T& Add(const T& item) { return *new (&items_[size_++]) T(item); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& back() { return items_[size_ - 1]; }
  T* data() { return items_.data(); }
  absl::Span<const T> items() const { return items_.first(size_); }

 private:
  absl::Span<T> items_;
  size_t size_ = 0;
};

}  // namespace attend

#endif  // ATTEND_CORE_BASE_ARENA_H_
