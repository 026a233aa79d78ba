// Scores of a block: s[key][lane] = sum over d of q[d][lane] * k[key][d].
// Included by core/attention/tile.cc once for each SIMD target.

template <class Product, int kRows, int kVectors>
HWY_INLINE void ScoreRows(const float* HWY_RESTRICT q, const WordRows& k, int64_t key,
                          float* HWY_RESTRICT s) {
  const F32 df;
  const int n = VectorLanes();
  V32 sums[kRows][kVectors];
  const std::byte* rows[kRows];
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    rows[r] = k.row(key + r);
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(df);
  }
  AddProducts<Product, kTileLanes>(q, rows, k.words, sums);
  s += key * kTileLanes;
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
      hn::Store(sums[r][v], df, s + r * kTileLanes + v * n);
    }
  }
}

template <class Product, int kRows, int kVectors>
HWY_INLINE void ScoreTail(int rows, const float* q, const WordRows& k, int64_t key, float* s) {
  if (rows == kRows) return ScoreRows<Product, kRows, kVectors>(q, k, key, s);
  if constexpr (kRows > 1) ScoreTail<Product, kRows - 1, kVectors>(rows, q, k, key, s);
}

// Asks for the lines of rows that the next step reads: they are far apart, so
// the hardware does not foresee them.
HWY_INLINE void PrefetchRows(const WordRows& rows, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    for (int64_t at = 0; at < rows.words * 4; at += 64) hwy::Prefetch(rows.row(r) + at);
  }
}

template <class Product, int kVectors>
HWY_NOINLINE void ScoreVectors(const float* q, const WordRows& k, int keys, float* s) {
  constexpr int kRows = RegisterRows(kVectors);
  int key = 0;
  for (; key + kRows <= keys; key += kRows) {
    PrefetchRows(k, key + kRows, std::min(key + 2 * kRows, keys));
    ScoreRows<Product, kRows, kVectors>(q, k, key, s);
  }
  if (key < keys) ScoreTail<Product, kRows, kVectors>(keys - key, q, k, key, s);
}

// For lanes [begin, end), in whole vectors.
template <class Product>
HWY_INLINE void Scores(const float* q, const WordRows& k, int keys, int begin, int end, float* s) {
  ForVectors(begin, end, [&](auto vectors, int lane) HWY_ATTR {
    ScoreVectors<Product, decltype(vectors)::value>(q + lane, k, keys, s + lane);
  });
}
