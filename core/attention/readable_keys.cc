// SPDX-License-Identifier: Apache-2.0
#include "core/attention/readable_keys.h"

#include <algorithm>
#include <cstring>

namespace attend::internal {
namespace {

// Bit i of the result is set where byte i of the eight is not 0.
uint64_t NonZeroBytes(uint64_t bytes) {
  constexpr uint64_t kLow7 = 0x7f7f7f7f7f7f7f7f;
  const uint64_t top = (((bytes & kLow7) + kLow7) | bytes) & ~kLow7;
  // The multiplication gathers the eight top bits in the top byte, in order.
  return ((top >> 7) * 0x0102040810204080) >> 56;
}

// Bit i of the result is set where the mask is true for key i of the row.
uint64_t MaskWord(const ScoreTerm& mask, const std::byte* row, int keys) {
  uint64_t word = 0;
  int i = 0;
  if (mask.key_stride == 1) {
    for (; i + 8 <= keys; i += 8) {
      uint64_t bytes;
      std::memcpy(&bytes, row + i, sizeof(bytes));
      word |= NonZeroBytes(bytes) << i;
    }
  }
  for (; i < keys; ++i) {
    word |= uint64_t{row[i * mask.key_stride] != std::byte{0}} << i;
  }
  return word;
}

// Swaps bit j of word i with bit i of word j ("Hacker's Delight" 7-3: swap halves of blocks
// of 64, 32, ... bits).
void TransposeBits(uint64_t (&words)[64]) {
  uint64_t low = 0x00000000ffffffff;
  for (int half = 32; half != 0; half /= 2, low ^= low << half) {
    for (int i = 0; i < 64; i = ((i | half) + 1) & ~half) {
      const uint64_t swap = ((words[i] >> half) ^ words[i | half]) & low;
      words[i] ^= swap << half;
      words[i | half] ^= swap;
    }
  }
}

// How far from its position a row may read; causal is a right window of 0. An unbounded side is
// so far that its sum with a position does not overflow.
struct Window {
  explicit Window(const AttentionParams& params)
      : left(params.window_left.value_or(2 * kFarPosition)),
        right(params.causal ? 0 : params.window_right.value_or(2 * kFarPosition)) {}
  int64_t left, right;
};

}  // namespace

ReadableKeys FindReadableKeys(const QueryTile& tile) {
  const int64_t end_key = std::min(tile.sequence->key_length, tile.end_key);
  const int64_t first = tile.position(0), last = tile.position(tile.query_rows - 1);
  const Window window(*tile.problem->params);
  const auto begin = [&](int64_t position) {
    return std::clamp(position - window.left, tile.begin_key, end_key);
  };
  const auto end = [&](int64_t position) {
    return std::clamp(position + window.right + 1, tile.begin_key, end_key);
  };
  return {begin(first), end(last), begin(last), end(first)};
}

RowRange FindReadingRows(const QueryTile& tile, KeyRange keys) {
  const Window window(*tile.problem->params);
  const int64_t first = tile.position(0), last_key = keys.begin + keys.count - 1;
  RowRange rows;
  rows.begin = static_cast<int>(
      std::clamp<int64_t>(keys.begin - window.right - first, 0, tile.query_rows - 1));
  rows.end = static_cast<int>(
      std::clamp<int64_t>(last_key + window.left - first + 1, rows.begin + 1, tile.query_rows));
  return rows;
}

void ClearUnreadable(const QueryTile& tile, KeyRange keys, uint64_t* bits) {
  const Window window(*tile.problem->params);
  const int64_t first = tile.position(0);
  const auto low_bits = [](int64_t count) {
    return count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
  };
  for (int i = 0; i < keys.count; ++i) {
    const int64_t key = keys.begin + i;
    const int64_t begin = std::clamp<int64_t>(key - window.right - first, 0, tile.query_rows);
    const int64_t end = std::clamp<int64_t>(key + window.left - first + 1, begin, tile.query_rows);
    const uint64_t rows = low_bits(end) & ~low_bits(begin);
    uint64_t all_heads = 0;
    for (int head = 0; head < tile.heads; ++head) all_heads |= rows << (head * tile.query_rows);
    bits[i] &= all_heads;
  }
}

void ClearMasked(const QueryTile& tile, KeyRange keys, uint64_t* bits) {
  const ScoreTerm& mask = tile.sequence->mask;
  if (tile.SharesRow(mask)) {
    const uint64_t word = MaskWord(mask, tile.Address(mask, 0, keys.begin), keys.count);
    for (int i = 0; i < keys.count; ++i) {
      if (((word >> i) & 1) == 0) bits[i] = 0;
    }
    return;
  }
  uint64_t words[64] = {};
  for (int row = 0; row < tile.size(); ++row) {
    words[row] = MaskWord(mask, tile.Address(mask, row, keys.begin), keys.count);
  }
  TransposeBits(words);
  for (int i = 0; i < keys.count; ++i) bits[i] &= words[i];
}

}  // namespace attend::internal
