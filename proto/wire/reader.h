// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_PROTO_WIRE_READER_H_
#define ATTEND_PROTO_WIRE_READER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "proto/wire/bytes.h"

namespace attend {

// Protobuf's wire types (protobuf.dev/programming-guides/encoding).
enum class WireType : uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kLength = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5,
};

struct WireTag {
  uint32_t field = 0;
  WireType type = WireType::kVarint;
};

// A cursor over one protobuf message. Borrows its bytes. Trusts nothing: every length is compared
// with what remains before it is used. Allocates nothing, throws nothing. Thread-compatible.
//
// Every function that returns a bool returns false if the bytes end too early or are not what is
// read. The position is then unspecified: abandon the message.
class WireReader {
 public:
  // Reads at most `max_fields` fields, those in groups and in submessages included. This bounds
  // the time, because a field may have only two bytes.
  WireReader(const WireBytes& bytes, size_t max_fields);

  // Bytes between the cursor and the current limit.
  size_t remaining() const { return limit_ - position_; }

  // Bytes read so far, for error messages.
  size_t position() const { return position_; }

  // Field numbers are 1 .. 2^29 - 1; wire types 6 and 7 do not exist. Also false if the message
  // has more fields than allowed.
  bool ReadTag(WireTag& tag);

  // Whether reading failed because the message has more than max_fields() fields.
  bool has_too_many_fields() const { return fields_ > max_fields_; }
  size_t max_fields() const { return max_fields_; }

  // Bits above 64 are dropped, as protobuf does.
  bool ReadVarint(uint64_t& value) { return ReadVarint(10, value); }
  bool ReadInt64(int64_t& value);
  bool ReadFixed32(uint32_t& value);

  // A length that fits what remains.
  bool ReadLength(size_t& size);

  // A length and so many bytes: steps over them and says where they lie.
  bool ReadSpan(WireSpan& span);

  // Steps over a field whose tag was read, a group with all that it holds.
  bool SkipField(WireTag tag);

  // Confines reading to the next `size` <= remaining() bytes. Returns what
  // PopLimit needs to lift it.
  size_t PushLimit(size_t size);
  void PopLimit(size_t old_limit) { limit_ = old_limit; }

  // Copies the bytes of a span that was read; `to` holds span.size bytes.
  void Copy(const WireSpan& span, void* to) const { bytes_.Copy(span, to); }

 private:
  bool ReadVarint(int max_bytes, uint64_t& value);
  bool ReadByte(uint8_t& byte);
  bool Skip(size_t size);
  void SkipEmptyChunks();

  WireBytes bytes_;
  absl::string_view chunk_;  // chunk number chunk_index_; empty after the last
  size_t chunk_index_;
  size_t offset_;  // in that chunk
  size_t position_ = 0;
  size_t limit_;
  const size_t max_fields_;
  size_t fields_ = 0;  // tags read
};

}  // namespace attend

#endif  // ATTEND_PROTO_WIRE_READER_H_
