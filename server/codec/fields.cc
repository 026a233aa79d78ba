// SPDX-License-Identifier: Apache-2.0
#include "server/codec/fields.h"

#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/codec/utf8.h"

namespace attend {
namespace {

absl::Status TooMany(const FieldPath& path, size_t max_count) {
  return InvalidField(path.ToString(), absl::StrCat("has more than ", max_count, " elements"),
                      "TOO_LARGE");
}

bool ReadVarintField(WireReader& wire, WireTag tag, uint64_t& value) {
  return tag.type == WireType::kVarint && wire.ReadVarint(value);
}

bool ReadElement(WireReader& wire, int64_t& value) {
  return wire.ReadInt64(value);
}

bool ReadElement(WireReader& wire, float& value) {
  uint32_t bits = 0;
  if (!wire.ReadFixed32(bits)) return false;
  static_assert(sizeof(bits) == sizeof(value) && std::numeric_limits<float>::is_iec559);
  std::memcpy(&value, &bits, sizeof(value));
  return true;
}

// `single` is the wire type of an element that is not packed.
template <typename T>
absl::Status ReadRepeated(WireReader& wire, const FieldPath& path, WireTag tag, WireType single,
                          size_t max_count, std::vector<T>& values) {
  size_t old_limit = 0;
  const bool packed = tag.type == WireType::kLength;
  if (packed) {
    size_t size = 0;
    if (!wire.ReadLength(size)) return Undecodable(wire, path);
    old_limit = wire.PushLimit(size);
  } else if (tag.type != single) {
    return Undecodable(wire, path);
  }
  while (!packed || wire.remaining() > 0) {
    T value = 0;
    if (!ReadElement(wire, value)) return Undecodable(wire, path);
    if (values.size() == max_count) return TooMany(path, max_count);
    values.push_back(value);
    if (!packed) return absl::OkStatus();
  }
  wire.PopLimit(old_limit);
  return absl::OkStatus();
}

}  // namespace

std::string FieldPath::ToString() const {
  if (parent == nullptr || parent->name.empty()) return std::string(name);
  return absl::StrCat(parent->ToString(), ".", name);
}

absl::Status Undecodable(const WireReader& wire, const FieldPath& path) {
  const std::string field = path.ToString();
  if (wire.has_too_many_fields()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "UNDECODABLE", field,
                     absl::StrCat("the message cannot be decoded: it has more than ",
                                  wire.max_fields(), " fields"));
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "UNDECODABLE", field,
                   absl::StrCat("the message cannot be decoded", field.empty() ? "" : " in field ",
                                field, " near byte ", wire.position(),
                                ": it is cut short, or not the message that attend.v1 describes"));
}

absl::Status ReadBool(WireReader& wire, const FieldPath& path, WireTag tag, bool& value) {
  uint64_t bits = 0;
  if (!ReadVarintField(wire, tag, bits)) return Undecodable(wire, path);
  value = bits != 0;
  return absl::OkStatus();
}

absl::Status ReadInt64(WireReader& wire, const FieldPath& path, WireTag tag, int64_t& value) {
  if (tag.type != WireType::kVarint || !ReadElement(wire, value)) return Undecodable(wire, path);
  return absl::OkStatus();
}

absl::Status ReadEnum(WireReader& wire, const FieldPath& path, WireTag tag, int& value) {
  uint64_t bits = 0;
  if (!ReadVarintField(wire, tag, bits)) return Undecodable(wire, path);
  value = static_cast<int32_t>(static_cast<uint32_t>(bits));
  return absl::OkStatus();
}

absl::Status UnknownEnumValue(const FieldPath& path, int wire) {
  return InvalidField(path.ToString(), absl::StrCat("has the unknown value ", wire),
                      "UNKNOWN_ENUM_VALUE");
}

absl::Status ReadFloat(WireReader& wire, const FieldPath& path, WireTag tag, float& value) {
  if (tag.type != WireType::kFixed32 || !ReadElement(wire, value)) return Undecodable(wire, path);
  return absl::OkStatus();
}

absl::Status ReadInt64s(WireReader& wire, const FieldPath& path, WireTag tag, size_t max_count,
                        std::vector<int64_t>& values) {
  return ReadRepeated(wire, path, tag, WireType::kVarint, max_count, values);
}

absl::Status ReadFloats(WireReader& wire, const FieldPath& path, WireTag tag, size_t max_count,
                        std::vector<float>& values) {
  return ReadRepeated(wire, path, tag, WireType::kFixed32, max_count, values);
}

absl::Status ReadString(WireReader& wire, const FieldPath& path, WireTag tag, size_t max_size,
                        std::string& value) {
  WireSpan span;
  ATTEND_RETURN_IF_ERROR(ReadBytes(wire, path, tag, span));
  if (span.size > max_size) {
    return InvalidField(path.ToString(),
                        absl::StrCat("is ", span.size, " bytes long; the limit is ", max_size),
                        "TOO_LARGE");
  }
  value.resize(span.size);
  wire.Copy(span, value.data());
  if (!IsValidUtf8(value)) return InvalidField(path.ToString(), "is not UTF-8");
  return absl::OkStatus();
}

absl::Status ReadBytes(WireReader& wire, const FieldPath& path, WireTag tag, WireSpan& value) {
  if (tag.type != WireType::kLength || !wire.ReadSpan(value)) return Undecodable(wire, path);
  return absl::OkStatus();
}

absl::Status SkipUnknown(WireReader& wire, const FieldPath& path, WireTag tag) {
  return wire.SkipField(tag) ? absl::OkStatus() : Undecodable(wire, path);
}

absl::Status RefuseUnknown(const FieldPath& path, WireTag tag) {
  const std::string field = path.ToString();
  return MakeError(
      absl::StatusCode::kUnimplemented, "UNKNOWN_OPTION", field,
      absl::StrCat(field, " has field ", tag.field,
                   ", which this server does not know: leave it out, or use a newer server"));
}

}  // namespace attend
