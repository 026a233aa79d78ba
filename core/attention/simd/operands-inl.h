// A tile's queries, keys and values as they leave memory: found, and converted to words
// where they are not multiplied as they are.
// Included by core/attention/tile.cc once for each SIMD target.

// Keys or values from one of the tile's heads on, but for their width.
inline HeadRows RowsOf(const TileState& state, const Rows& rows, KeyRange keys, int head) {
  const int64_t element = static_cast<int64_t>(ElementSize(state.problem.input_type));
  const int64_t at = keys.begin * rows.row_stride + (state.kv_head + head) * rows.head_stride;
  return {rows.data + at * element, rows.row_stride * element, rows.head_stride * element, 0,
          keys.count};
}

// Whether keys (and for few rows values, too) can be multiplied as they come.
template <class Product>
bool AsInMemory(const TileState& state) {
  return Product::kElementsPerWord == 2 || state.problem.input_type == DataType::kFloat32;
}

// Rows of floats in `to`, one of the memory's matrices of rows.
inline WordRows Widen(const TileState& state, const HeadRows& rows, int64_t width, float* to) {
  const TileMemory& m = state.memory;
  for (int i = 0; i < rows.rows; ++i) {
    ConvertToFloat(state.problem.input_type, rows.data + i * rows.row_stride, to + i * m.row_floats,
                   width);
  }
  return {reinterpret_cast<const std::byte*>(to), m.row_floats * 4, width};
}

// One head's keys as words: as they are in memory, or converted.
template <class Product>
WordRows KeysOf(const TileState& state, KeyRange keys, int head) {
  const HeadRows rows = RowsOf(state, state.sequence.key, keys, head);
  const int64_t width = state.problem.head_dim;
  if (!AsInMemory<Product>(state)) return Widen(state, rows, width, state.memory.wide);
  return {rows.data, rows.row_stride, width / Product::kElementsPerWord};
}

// to[0, D / elements of a word) = the words of the lane's query.
template <class Product>
void LoadQuery(const TileState& state, int lane, float* to) {
  const int64_t element = static_cast<int64_t>(ElementSize(state.problem.input_type));
  const std::byte* const row =
      state.problem.QueryRow(state.sequence, state.tile.head(lane), state.tile.row(lane));
  if constexpr (Product::kElementsPerWord == 2) {
    std::memcpy(to, row, state.problem.head_dim * element);
  } else {
    ConvertToFloat(state.problem.input_type, row, to, state.problem.head_dim);
  }
}

// Gives words of queries the part of the scale that they carry.
template <class Product>
void ScaleQueries(const TileState& state, int64_t words) {
  if (state.query_factor == 1.0f) return;
  float* q = state.memory.q;
  for (int64_t i = 0; i < words; ++i) {
    if constexpr (Product::kElementsPerWord == 2) {  // the factor is -1
      uint32_t word;
      std::memcpy(&word, q + i, sizeof(word));
      word ^= 0x80008000u;
      std::memcpy(q + i, &word, sizeof(word));
    } else {
      q[i] *= state.query_factor;
    }
  }
}
