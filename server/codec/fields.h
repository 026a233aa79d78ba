// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_FIELDS_H_
#define ATTEND_SERVER_CODEC_FIELDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "proto/wire/reader.h"

namespace attend {

// Typed reading of fields over a WireReader, with errors that name the field.
//
// Each function reads the value of a field whose tag was just read. They return
// INVALID_ARGUMENT (reason UNDECODABLE) where the bytes are cut short or have
// another wire type than the field. As in protobuf, the last value of a scalar
// wins, repeated values are appended, and both packed and single elements of a
// repeated number are taken.

// A field's place in the request, for messages: "options.mask.shape". Lives on
// the stack of the functions that walk down.
struct FieldPath {
  const FieldPath* parent = nullptr;
  absl::string_view name;

  std::string ToString() const;
};

// The message itself, which has no name.
inline constexpr FieldPath kRootPath{nullptr, ""};

absl::Status Undecodable(const WireReader& wire, const FieldPath& path);

absl::Status ReadBool(WireReader& wire, const FieldPath& path, WireTag tag, bool& value);
absl::Status ReadInt64(WireReader& wire, const FieldPath& path, WireTag tag, int64_t& value);
absl::Status ReadFloat(WireReader& wire, const FieldPath& path, WireTag tag, float& value);

// An enum's number, known or not: DecodeEnum checks it when the message has been read.
absl::Status ReadEnum(WireReader& wire, const FieldPath& path, WireTag tag, int& value);

template <typename Enum>
struct EnumValue {
  int wire;
  Enum value;
};

// INVALID_ARGUMENT (reason UNKNOWN_ENUM_VALUE).
absl::Status UnknownEnumValue(const FieldPath& path, int wire);

// Finds the enumerator of a number in the list of those that are known; fails as UnknownEnumValue.
template <typename Enum, size_t n>
absl::StatusOr<Enum> DecodeEnum(const FieldPath& path, int wire,
                                const EnumValue<Enum> (&known)[n]) {
  for (const EnumValue<Enum>& entry : known) {
    if (entry.wire == wire) return entry.value;
  }
  return UnknownEnumValue(path, wire);
}

// INVALID_ARGUMENT for more than `max_count` elements in all: a packed varint
// takes one byte on the wire and eight in memory, so the message's size is no
// bound.
absl::Status ReadInt64s(WireReader& wire, const FieldPath& path, WireTag tag, size_t max_count,
                        std::vector<int64_t>& values);
absl::Status ReadFloats(WireReader& wire, const FieldPath& path, WireTag tag, size_t max_count,
                        std::vector<float>& values);

// INVALID_ARGUMENT where it is longer than `max_size` or not UTF-8.
absl::Status ReadString(WireReader& wire, const FieldPath& path, WireTag tag, size_t max_size,
                        std::string& value);

// Where the bytes stand; nothing is copied.
absl::Status ReadBytes(WireReader& wire, const FieldPath& path, WireTag tag, WireSpan& value);

absl::Status SkipUnknown(WireReader& wire, const FieldPath& path, WireTag tag);

// UNIMPLEMENTED that names the number of a field this server does not know.
absl::Status RefuseUnknown(const FieldPath& path, WireTag tag);

// Calls visit(tag) for each field up to the limit; visit reads its value.
template <typename Visit>
absl::Status ReadMessage(WireReader& wire, const FieldPath& path, Visit visit) {
  while (wire.remaining() > 0) {
    WireTag tag;
    if (!wire.ReadTag(tag) || tag.type == WireType::kEndGroup) return Undecodable(wire, path);
    ATTEND_RETURN_IF_ERROR(visit(tag));
  }
  return absl::OkStatus();
}

// The same for a field that is a message.
template <typename Visit>
absl::Status ReadSubmessage(WireReader& wire, const FieldPath& path, WireTag tag, Visit visit) {
  size_t size = 0;
  if (tag.type != WireType::kLength || !wire.ReadLength(size)) return Undecodable(wire, path);
  const size_t old_limit = wire.PushLimit(size);
  ATTEND_RETURN_IF_ERROR(ReadMessage(wire, path, visit));
  wire.PopLimit(old_limit);
  return absl::OkStatus();
}

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_FIELDS_H_
