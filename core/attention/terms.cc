#include "core/attention/terms.h"

#include <algorithm>
#include <cstring>

#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

const std::byte* TermRow(const Tile& tile, const ScoreTerm& term, int lane, int64_t key) {
  return term.data + term.Index(tile.head(lane), tile.row(lane), key) *
                         static_cast<int64_t>(ElementSize(term.type));
}

// A row of a float term as float32.
void LoadTerm(const Tile& tile, const ScoreTerm& term, int lane, KeyRange keys, float* values) {
  const std::byte* row = TermRow(tile, term, lane, keys.begin);
  if (term.key_stride == 1) return ConvertToFloat(term.type, row, values, keys.count);
  for (int i = 0; i < keys.count; ++i) values[i] = LoadFloat(term.type, row, i * term.key_stride);
}

// Bit i: byte i of eight is not 0.
uint64_t NonZeroBytes(uint64_t bytes) {
  constexpr uint64_t kLow7 = 0x7f7f7f7f7f7f7f7f;
  const uint64_t top = (((bytes & kLow7) + kLow7) | bytes) & ~kLow7;
  // The multiplication gathers the eight top bits in the top byte, in order.
  return ((top >> 7) * 0x0102040810204080) >> 56;
}

// Bit i: key begin + i is true in this lane.
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

// Bit j of word i and bit i of word j change places ("Hacker's Delight" 7-3:
// swap halves of blocks of 64, 32, ... bits).
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

// How far from its position a row reads; causal is a right window of 0. What is
// unbounded is so far that no sum of it and a position overflows.
struct Window {
  explicit Window(const AttentionProblem& problem) : Window(*problem.params) {}
  explicit Window(const AttentionParams& params)
      : left(params.window_left.value_or(2 * kFarPosition)),
        right(params.causal ? 0 : params.window_right.value_or(2 * kFarPosition)) {}
  int64_t left, right;
};

}  // namespace

Reach ReachOf(const Tile& tile) {
  const int64_t end_key = std::min(tile.sequence->key_length, tile.end_key);
  const int64_t first = tile.position(0), last = tile.position(tile.rows - 1);
  const Window window(*tile.problem);
  const auto begin = [&](int64_t position) {
    return std::clamp(position - window.left, tile.begin_key, end_key);
  };
  const auto end = [&](int64_t position) {
    return std::clamp(position + window.right + 1, tile.begin_key, end_key);
  };
  return {begin(first), end(last), begin(last), end(first)};
}

RowRange RowsThatReach(const Tile& tile, KeyRange keys) {
  const Window window(*tile.problem);
  const int64_t first = tile.position(0), last_key = keys.begin + keys.count - 1;
  RowRange rows;
  rows.begin =
      static_cast<int>(std::clamp<int64_t>(keys.begin - window.right - first, 0, tile.rows - 1));
  rows.end = static_cast<int>(
      std::clamp<int64_t>(last_key + window.left - first + 1, rows.begin + 1, tile.rows));
  return rows;
}

void ClearOutOfReach(const Tile& tile, KeyRange keys, uint64_t* bits) {
  const Window window(*tile.problem);
  const int64_t first = tile.position(0);
  const auto low_bits = [](int64_t count) {
    return count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
  };
  for (int i = 0; i < keys.count; ++i) {
    const int64_t key = keys.begin + i;
    const int64_t begin = std::clamp<int64_t>(key - window.right - first, 0, tile.rows);
    const int64_t end = std::clamp<int64_t>(key + window.left - first + 1, begin, tile.rows);
    const uint64_t rows = low_bits(end) & ~low_bits(begin);
    uint64_t lanes = 0;
    for (int head = 0; head < tile.heads; ++head) lanes |= rows << (head * tile.rows);
    bits[i] &= lanes;
  }
}

bool SameForAllLanes(const Tile& tile, const ScoreTerm& term) {
  if (term.data == nullptr) return true;
  return (tile.rows == 1 || term.row_stride == 0) && (tile.heads == 1 || term.head_stride == 0);
}

void ClearMasked(const Tile& tile, KeyRange keys, uint64_t* bits) {
  const ScoreTerm& mask = tile.sequence->mask;
  if (SameForAllLanes(tile, mask)) {
    const uint64_t word = MaskWord(mask, TermRow(tile, mask, 0, keys.begin), keys.count);
    for (int i = 0; i < keys.count; ++i) {
      if (((word >> i) & 1) == 0) bits[i] = 0;
    }
    return;
  }
  uint64_t words[64] = {};
  for (int lane = 0; lane < tile.lanes(); ++lane) {
    words[lane] = MaskWord(mask, TermRow(tile, mask, lane, keys.begin), keys.count);
  }
  TransposeBits(words);
  for (int i = 0; i < keys.count; ++i) bits[i] &= words[i];
}

bool SameBiasForAllLanes(const Tile& tile) {
  const SequenceProblem& sequence = *tile.sequence;
  return SameForAllLanes(tile, sequence.relative_bias) && SameForAllLanes(tile, sequence.bias);
}

void LoadBias(const Tile& tile, int lane, KeyRange keys, float* bias) {
  const ScoreTerm &relative = tile.sequence->relative_bias, &given = tile.sequence->bias;
  if (relative.data == nullptr) return LoadTerm(tile, given, lane, keys, bias);
  LoadTerm(tile, relative, lane, keys, bias);
  if (given.data == nullptr) return;
  float added[kKeyBlock];
  LoadTerm(tile, given, lane, keys, added);
  for (int i = 0; i < keys.count; ++i) bias[i] += added[i];
}

}  // namespace attend::internal
