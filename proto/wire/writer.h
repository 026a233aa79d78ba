// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_PROTO_WIRE_WRITER_H_
#define ATTEND_PROTO_WIRE_WRITER_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "proto/wire/reader.h"

namespace attend::wire_writer {

// These append protobuf's wire format to `out`, and allocate only there.

// The number of bytes that AppendVarint appends.
constexpr size_t VarintSize(uint64_t value) {
  return (std::bit_width(value | 1) + 6) / 7;
}

inline void AppendVarint(uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

inline void AppendTag(int field, WireType type, std::string& out) {
  AppendVarint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(type), out);
}

// Little-endian, as a field of type fixed32, fixed64 or double has it behind its tag.
inline void AppendFixed32(uint32_t value, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

inline void AppendFixed64(uint64_t value, std::string& out) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

inline void AppendDouble(double value, std::string& out) {
  AppendFixed64(std::bit_cast<uint64_t>(value), out);
}

// Leaves out a value of 0, as proto3 does.
inline void AppendVarintField(int field, uint64_t value, std::string& out) {
  if (value == 0) return;
  AppendTag(field, WireType::kVarint, out);
  AppendVarint(value, out);
}

// The tag and length of a field whose `size` bytes follow.
inline void AppendLengthTag(int field, size_t size, std::string& out) {
  AppendTag(field, WireType::kLength, out);
  AppendVarint(size, out);
}

// A submessage, string or bytes.
inline void AppendMessage(int field, absl::string_view bytes, std::string& out) {
  AppendLengthTag(field, bytes.size(), out);
  out.append(bytes.data(), bytes.size());
}

}  // namespace attend::wire_writer

#endif  // ATTEND_PROTO_WIRE_WRITER_H_
