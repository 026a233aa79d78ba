// SPDX-License-Identifier: Apache-2.0
#include "server/codec/wire_reader.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace attend {

WireReader::WireReader(absl::Span<const absl::string_view> chunks, size_t max_fields)
    : chunks_(chunks), max_fields_(max_fields) {
  for (const absl::string_view chunk : chunks_) limit_ += chunk.size();
  SkipEmptyChunks();
}

void WireReader::SkipEmptyChunks() {
  while (chunk_ < chunks_.size() && offset_ == chunks_[chunk_].size()) {
    ++chunk_;
    offset_ = 0;
  }
}

bool WireReader::ReadVarint(int max_bytes, uint64_t& value) {
  value = 0;
  for (int i = 0; i < max_bytes; ++i) {
    if (remaining() == 0) return false;
    const auto byte = static_cast<uint8_t>(chunks_[chunk_][offset_]);
    ++offset_;
    ++position_;
    SkipEmptyChunks();
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

bool WireReader::ReadFixed32(uint32_t& value) {
  std::array<uint8_t, 4> bytes;
  WireSpan span;
  if (!ReadSpan(bytes.size(), span)) return false;
  Copy(span, bytes.data());
  value = uint32_t{bytes[0]} | uint32_t{bytes[1]} << 8 | uint32_t{bytes[2]} << 16 |
          uint32_t{bytes[3]} << 24;
  return true;
}

bool WireReader::ReadLength(size_t& size) {
  uint64_t value = 0;
  if (!ReadVarint(5, value) || value > remaining()) return false;
  size = static_cast<size_t>(value);
  return true;
}

bool WireReader::ReadSpan(size_t size, WireSpan& span) {
  span = {chunk_, offset_, size};
  return Skip(size);
}

bool WireReader::Skip(size_t size) {
  if (size > remaining()) return false;
  position_ += size;
  while (size > 0) {
    const size_t step = std::min(size, chunks_[chunk_].size() - offset_);
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

void WireReader::Copy(const WireSpan& span, void* to) const {
  auto* out = static_cast<char*>(to);
  size_t offset = span.offset;
  size_t left = span.size;
  for (size_t chunk = span.chunk; left > 0; ++chunk, offset = 0) {
    const size_t step = std::min(left, chunks_[chunk].size() - offset);
    if (step == 0) continue;  // an empty chunk may have no memory at all
    std::memcpy(out, chunks_[chunk].data() + offset, step);
    out += step;
    left -= step;
  }
}

}  // namespace attend
