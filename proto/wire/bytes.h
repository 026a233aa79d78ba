// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_PROTO_WIRE_BYTES_H_
#define ATTEND_PROTO_WIRE_BYTES_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attend {

// Where some of a message's bytes lie; they may span chunks.
struct WireSpan {
  size_t chunk = 0;
  size_t offset = 0;  // in that chunk
  size_t size = 0;
};

// A message, or a part of one, that lies in several chunks of memory, as gRPC receives it. Borrows
// the chunks and what lists them, and allocates nothing: a message may lie in as many chunks as it
// has bytes. Copies are cheap. Thread-compatible.
class WireBytes {
 public:
  // Finds a chunk in what the constructor was given as `list`.
  using ChunkAt = absl::string_view (*)(const void* list, size_t index);

  WireBytes() = default;
  explicit WireBytes(absl::Span<const absl::string_view> chunks);
  WireBytes(const void* list, size_t chunk_count, ChunkAt chunk_at);

  // A part of these bytes. Spans in the part count from the chunks of the whole. Precondition:
  // the span lies in the chunks.
  WireBytes Part(const WireSpan& span) const;

  // The chunk and offset of the first byte, and the number of bytes.
  const WireSpan& span() const { return span_; }
  size_t size() const { return span_.size; }

  size_t chunk_count() const { return chunk_count_; }
  absl::string_view chunk(size_t index) const { return chunk_at_(list_, index); }

  // Copies the bytes of a span that lies in the chunks; `to` holds span.size bytes.
  void Copy(const WireSpan& span, void* to) const;

 private:
  const void* list_ = nullptr;
  size_t chunk_count_ = 0;
  ChunkAt chunk_at_ = nullptr;
  WireSpan span_;
};

}  // namespace attend

#endif  // ATTEND_PROTO_WIRE_BYTES_H_
