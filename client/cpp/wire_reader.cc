// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/wire_reader.h"

#include <algorithm>
#include <cstring>

namespace attend::client::internal {

WireReader::WireReader(absl::Span<const absl::string_view> chunks) : chunks_(chunks) {
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
  // Five bytes hold the 32 bits of a tag.
  uint64_t value = 0;
  if (!ReadVarint(5, value)) return false;
  const auto bits = static_cast<uint32_t>(value);
  tag.field = bits >> 3;
  tag.type = static_cast<WireType>(bits & 7);
  return tag.field != 0;
}

bool WireReader::ReadInt64(int64_t& value) {
  uint64_t bits = 0;
  if (!ReadVarint(bits)) return false;
  value = static_cast<int64_t>(bits);
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
  span = {chunk_, offset_, size};
  return Skip(size);
}

bool WireReader::ReadString(size_t max_size, std::string& bytes) {
  WireSpan span;
  if (!ReadSpan(span) || span.size > max_size) return false;
  bytes.resize(span.size);
  Copy(span, bytes.data());
  return true;
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
  uint64_t ignored = 0;
  size_t size = 0;
  switch (tag.type) {
    case WireType::kVarint:
      return ReadVarint(ignored);
    case WireType::kFixed64:
      return Skip(8);
    case WireType::kLength:
      return ReadLength(size) && Skip(size);
    case WireType::kFixed32:
      return Skip(4);
  }
  return false;  // a group, or a type that does not exist
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

}  // namespace attend::client::internal
