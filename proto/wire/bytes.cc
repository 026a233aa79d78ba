// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/bytes.h"

#include <algorithm>
#include <cstring>

namespace attend {
namespace {

absl::string_view ViewAt(const void* list, size_t index) {
  return static_cast<const absl::string_view*>(list)[index];
}

}  // namespace

WireBytes::WireBytes(absl::Span<const absl::string_view> chunks)
    : WireBytes(chunks.data(), chunks.size(), ViewAt) {}

WireBytes::WireBytes(const void* list, size_t chunk_count, ChunkAt chunk_at)
    : list_(list), chunk_count_(chunk_count), chunk_at_(chunk_at) {
  for (size_t i = 0; i < chunk_count_; ++i) span_.size += chunk(i).size();
}

WireBytes WireBytes::Part(const WireSpan& span) const {
  WireBytes part = *this;
  part.span_ = span;
  return part;
}

void WireBytes::Copy(const WireSpan& span, void* to) const {
  auto* out = static_cast<char*>(to);
  size_t offset = span.offset;
  size_t left = span.size;
  for (size_t i = span.chunk; left > 0; ++i, offset = 0) {
    const absl::string_view from = chunk(i);
    const size_t step = std::min(left, from.size() - offset);
    if (step == 0) continue;  // an empty chunk may have no memory at all
    std::memcpy(out, from.data() + offset, step);
    out += step;
    left -= step;
  }
}

}  // namespace attend
