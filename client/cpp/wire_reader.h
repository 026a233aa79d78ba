// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_WIRE_READER_H_
#define ATTEND_CLIENT_CPP_WIRE_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attend::client::internal {

// Protobuf's wire types (protobuf.dev/programming-guides/encoding). Groups are
// left out: proto3 has none, and a message with one is refused.
enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

struct WireTag {
  uint32_t field = 0;
  WireType type = WireType::kVarint;
};

// Where some bytes stand in the message; they may span chunks.
struct WireSpan {
  size_t chunk = 0;
  size_t offset = 0;  // in that chunk
  size_t size = 0;
};

// A cursor over one protobuf message that lies in several chunks of memory, as
// gRPC receives it. Borrows the chunks. Trusts nothing: every length is compared
// with what remains before it is used. Allocates only in ReadString.
// Thread-compatible.
//
// Every function that returns a bool returns false if the bytes end too early or
// are not what is read. The position is then unspecified: abandon the message.
class WireReader {
 public:
  explicit WireReader(absl::Span<const absl::string_view> chunks);

  // Bytes between the cursor and the current limit.
  size_t remaining() const { return limit_ - position_; }

  bool ReadTag(WireTag& tag);
  bool ReadVarint(uint64_t& value) { return ReadVarint(10, value); }
  bool ReadInt64(int64_t& value);
  bool ReadLength(size_t& size);  // false also if it exceeds what remains

  // A length and so many bytes. ReadSpan says where they stand; ReadString copies
  // them, but at most max_size of them.
  bool ReadSpan(WireSpan& span);
  bool ReadString(size_t max_size, std::string& bytes);

  // Steps over a field whose tag was read.
  bool SkipField(WireTag tag);

  // Confines reading to the next `size` <= remaining() bytes. Returns what
  // PopLimit needs to lift it.
  size_t PushLimit(size_t size);
  void PopLimit(size_t old_limit) { limit_ = old_limit; }

  // Copies the span's bytes; `to` holds span.size bytes.
  void Copy(const WireSpan& span, void* to) const;

 private:
  bool ReadVarint(int max_bytes, uint64_t& value);
  bool Skip(size_t size);
  void SkipEmptyChunks();

  absl::Span<const absl::string_view> chunks_;
  size_t chunk_ = 0;
  size_t offset_ = 0;  // in that chunk
  size_t position_ = 0;
  size_t limit_ = 0;
};

// Calls `field(tag)` for each field up to the limit; it reads or skips the
// field's value and returns false to give up.
template <typename Field>
bool ReadMessage(WireReader& wire, Field field) {
  while (wire.remaining() > 0) {
    WireTag tag;
    if (!wire.ReadTag(tag) || !field(tag)) return false;
  }
  return true;
}

// The same for a message that is a field of another, so it begins with its length.
template <typename Field>
bool ReadSubmessage(WireReader& wire, Field field) {
  size_t size = 0;
  if (!wire.ReadLength(size)) return false;
  const size_t old_limit = wire.PushLimit(size);
  if (!ReadMessage(wire, field)) return false;
  wire.PopLimit(old_limit);
  return true;
}

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_WIRE_READER_H_
