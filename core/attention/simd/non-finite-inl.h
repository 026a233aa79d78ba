// Values that are not finite. P = 0 times NaN or infinity would be NaN: such values must
// not reach lanes that do not read their keys. Blocks that have some are multiplied with 0
// in their place, and what they give is added for the lanes that do read them.
// Included by core/attention/tile.cc once for each SIMD target.

// Whether any of n numbers has all these bits set.
template <typename Bits>
bool HasExponent(const std::byte* numbers, int64_t n, Bits exponent) {
  const hn::ScalableTag<Bits> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const Bits* bits = reinterpret_cast<const Bits*>(numbers);
  const auto all = hn::Set(d, exponent);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto found = hn::Eq(hn::And(hn::LoadU(d, bits + i), all), all);
    if (!hn::AllFalse(d, found)) return true;
  }
  for (; i < n; ++i) {
    if ((bits[i] & exponent) == exponent) return true;
  }
  return false;
}

inline bool HasNonFinite(const TileState& state, const HeadRows& values) {
  const int64_t width = state.problem.value_head_dim;
  const DataType type = state.problem.input_type;
  for (int i = 0; i < values.rows; ++i) {
    const std::byte* row = values.data + i * values.row_stride;
    const bool found =
        type == DataType::kFloat32
            ? HasExponent<uint32_t>(row, width, 0x7f800000)
            : HasExponent<uint16_t>(row, width, type == DataType::kBFloat16 ? 0x7f80 : 0x7c00);
    if (found) return true;
  }
  return false;
}

// In rows of floats.
inline void ClearNonFinite(const TileState& state, int rows, float* floats) {
  for (int i = 0; i < rows; ++i) {
    float* row = floats + i * state.memory.row_floats;
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      if (!std::isfinite(row[d])) row[d] = 0.0f;
    }
  }
}

// In words of two rows of bfloat16 in memory.values.
inline void ClearNonFinitePairs(const TileState& state, int rows) {
  for (int i = 0; i < rows; ++i) {
    uint32_t* words =
        reinterpret_cast<uint32_t*>(state.memory.values + i * state.memory.row_floats);
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      if ((words[d] & 0x7f80u) == 0x7f80u) words[d] &= 0xffff0000u;
      if ((words[d] & 0x7f800000u) == 0x7f800000u) words[d] &= 0x0000ffffu;
    }
  }
}

// Rows of bfloat16 values in memory.wide, but for those.
inline void CopyFinite(const TileState& state, const HeadRows& values) {
  for (int i = 0; i < values.rows; ++i) {
    const std::byte* from = values.data + i * values.row_stride;
    uint16_t* to = reinterpret_cast<uint16_t*>(state.memory.wide + i * state.memory.row_floats);
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      uint16_t value;
      std::memcpy(&value, from + d * 2, sizeof(value));
      to[d] = (value & 0x7f80u) == 0x7f80u ? 0 : value;
    }
  }
}

// P of a key, as a word of kKeys keys has it.
template <int kKeys>
float StoredProbability(const float* s, int key, int lane) {
  if (kKeys == 1) return s[key * kTileLanes + lane];
  uint32_t word;
  std::memcpy(&word, s + (key / 2) * kTileLanes + lane, sizeof(word));
  return BFloat16ToFloat(static_cast<uint16_t>(key % 2 == 0 ? word : word >> 16));
}

// What the others left out, for those of lanes [begin, end) that read it. sum_at(lane, d)
// is where the sum of a feature is in memory.o.
template <class Product, class SumAt>
void AddNonFinite(const TileState& state, const HeadRows& values, int begin, int end,
                  const SumAt& sum_at) {
  const TileMemory& m = state.memory;
  for (int i = 0; i < values.rows; ++i) {
    const std::byte* row = values.data + i * values.row_stride;
    for (int64_t d = 0; d < state.problem.value_head_dim; ++d) {
      const float value = LoadFloat(state.problem.input_type, row, d);
      if (std::isfinite(value)) continue;
      for (int lane = begin; lane < end; ++lane) {
        if (((m.bits[i] >> lane) & 1) == 0) continue;
        m.o[sum_at(lane, d)] += StoredProbability<Product::kElementsPerWord>(m.s, i, lane) * value;
      }
    }
  }
}
