// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/reader.h"

#include <algorithm>
#include <array>

namespace attend {

WireReader::WireReader(const WireBytes& bytes, size_t max_fields)
    : bytes_(bytes),
      chunk_index_(bytes.span().chunk),
      offset_(bytes.span().offset),
      limit_(bytes.size()),
      max_fields_(max_fields) {
  if (chunk_index_ < bytes_.chunk_count()) chunk_ = bytes_.chunk(chunk_index_);
  SkipEmptyChunks();
}

void WireReader::SkipEmptyChunks() {
  while (offset_ == chunk_.size() && chunk_index_ < bytes_.chunk_count()) {
    ++chunk_index_;
    offset_ = 0;
    chunk_ = chunk_index_ < bytes_.chunk_count() ? bytes_.chunk(chunk_index_) : absl::string_view();
  }
}

bool WireReader::ReadByte(uint8_t& byte) {
  if (remaining() == 0) return false;
  byte = static_cast<uint8_t>(chunk_[offset_]);
  ++offset_;
  ++position_;
  SkipEmptyChunks();
  return true;
}

bool WireReader::ReadVarint(int max_bytes, uint64_t& value) {
  value = 0;
  for (int i = 0; i < max_bytes; ++i) {
    uint8_t byte = 0;
    if (!ReadByte(byte)) return false;
    value |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) return true;
  }
  return false;
}

bool WireReader::ReadTag(WireTag& tag) {
  if (++fields_ > max_fields_) return false;
  // Five bytes hold the 32 bits of a tag.
  uint64_t value = 0;
  if (!ReadVarint(5, value)) return false;
  const auto bits = static_cast<uint32_t>(value);
  tag.field = bits >> 3;
  tag.type = static_cast<WireType>(bits & 7);
  return tag.field != 0 && tag.type <= WireType::kFixed32;
}

bool WireReader::ReadInt64(int64_t& value) {
  uint64_t bits = 0;
  if (!ReadVarint(bits)) return false;
  value = static_cast<int64_t>(bits);
  return true;
}

bool WireReader::ReadFixed32(uint32_t& value) {
  value = 0;
  for (int i = 0; i < 4; ++i) {
    uint8_t byte = 0;
    if (!ReadByte(byte)) return false;
    value |= uint32_t{byte} << (8 * i);
  }
  return true;
}

bool WireReader::ReadLength(size_t& size) {
  uint64_t value = 0;
  if (!ReadVarint(5, value) || value > remaining()) return false;
  size = static_cast<size_t>(value);
  return true;
}

bool WireReader::ReadSpan(WireSpan& span) {
  size_t size = 0;
  if (!ReadLength(size)) return false;
  span = {chunk_index_, offset_, size};
  return Skip(size);
}

bool WireReader::Skip(size_t size) {
  if (size > remaining()) return false;
  position_ += size;
  while (size > 0) {
    const size_t step = std::min(size, chunk_.size() - offset_);
    offset_ += step;
    size -= step;
    SkipEmptyChunks();
  }
  return true;
}

bool WireReader::SkipField(WireTag tag) {
  // The numbers of the open groups: as deep as protobuf's parsers go.
  std::array<uint32_t, 100> groups;
  size_t depth = 0;
  while (true) {
    uint64_t ignored = 0;
    size_t size = 0;
    switch (tag.type) {
      case WireType::kVarint:
        if (!ReadVarint(ignored)) return false;
        break;
      case WireType::kFixed64:
        if (!Skip(8)) return false;
        break;
      case WireType::kLength:
        if (!ReadLength(size) || !Skip(size)) return false;
        break;
      case WireType::kFixed32:
        if (!Skip(4)) return false;
        break;
      case WireType::kStartGroup:
        if (depth == groups.size()) return false;
        groups[depth++] = tag.field;
        break;
      case WireType::kEndGroup:
        if (depth == 0 || groups[--depth] != tag.field) return false;
        break;
    }
    if (depth == 0) return true;
    if (!ReadTag(tag)) return false;
  }
}

size_t WireReader::PushLimit(size_t size) {
  const size_t old_limit = limit_;
  limit_ = position_ + size;
  return old_limit;
}

}  // namespace attend
