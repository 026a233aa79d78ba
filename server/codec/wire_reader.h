// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_WIRE_READER_H_
#define ATTEND_SERVER_CODEC_WIRE_READER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

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

// Where some bytes stand in the message; they may span chunks.
struct WireSpan {
  size_t chunk = 0;
  size_t offset = 0;  // in that chunk
  size_t size = 0;
};

// A cursor over one protobuf message that lies in several chunks of memory, as
// gRPC receives it. Borrows the chunks. Allocates nothing. Thread-compatible.
//
// Every Read returns false if the bytes end too early or are not what is read. The position is
// then unspecified: abandon the message.
class WireReader {
 public:
  // Reads at most `max_fields` fields, those in groups and submessages included.
  WireReader(absl::Span<const absl::string_view> chunks, size_t max_fields);

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
  bool ReadFixed32(uint32_t& value);

  // A length that fits what remains.
  bool ReadLength(size_t& size);

  // Steps over bytes and says where they stand.
  bool ReadSpan(size_t size, WireSpan& span);
  bool Skip(size_t size);

  // Steps over a field whose tag was read, a group with all that it holds.
  bool SkipField(WireTag tag);

  // Confines reading to the next `size` <= remaining() bytes. Returns what
  // PopLimit needs to lift it.
  size_t PushLimit(size_t size);
  void PopLimit(size_t old_limit) { limit_ = old_limit; }

  // Copies the span's bytes; `to` holds span.size bytes.
  void Copy(const WireSpan& span, void* to) const;

 private:
  bool ReadVarint(int max_bytes, uint64_t& value);
  void SkipEmptyChunks();

  absl::Span<const absl::string_view> chunks_;
  size_t chunk_ = 0;
  size_t offset_ = 0;
  size_t position_ = 0;
  size_t limit_ = 0;
  const size_t max_fields_;
  size_t fields_ = 0;  // tags read
};

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_WIRE_READER_H_
