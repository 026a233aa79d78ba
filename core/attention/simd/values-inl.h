// Weighted sums of values: o[d][lane] = alpha[lane] * o[d][lane] +
// sum over keys of p[key][lane] * v[key][d]. With pairs of bfloat16, a row of p
// and of v stands for two keys.
// Included by core/attention/tile.cc once for each SIMD target.

// Where the sums of a block go.
struct Sums {
  float* o;            // [Dv][kTileLanes]
  const float* alpha;  // [kTileLanes]
  bool first;          // nothing to add to yet
};

template <int kVectors>
HWY_INLINE void AddSums(const V32 (&sums)[kVectors], const Sums& to, int64_t d, int lane) {
  const F32 df;
  const int n = VectorLanes();
  float* HWY_RESTRICT o = to.o + d * kTileLanes + lane;
  ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
    V32 sum = sums[v];
    if (!to.first) {
      sum = hn::MulAdd(hn::Load(df, to.alpha + lane + v * n), hn::Load(df, o + v * n), sum);
    }
    hn::Store(sum, df, o + v * n);
  }
}

template <class Product, int kRows, int kVectors>
HWY_INLINE void ValueRows(const float* HWY_RESTRICT p, const WordRows& values, int rows,
                          const Sums& to, int64_t d, int lane) {
  const F32 df;
  const int n = VectorLanes();
  V32 sums[kRows][kVectors];
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(df);
  }
  p += lane;
  const std::byte* value = values.data + d * 4;
  for (int row = 0; row < rows; ++row, p += kTileLanes, value += values.stride) {
    V32 weights[kVectors];
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) weights[v] = hn::Load(df, p + v * n);
    ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
      const V32 word = Broadcast(value + r * 4);
      ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Product::MulAdd(word, weights[v], sums[r][v]);
      }
    }
  }
  ATTEND_UNROLL for (int r = 0; r < kRows; ++r) AddSums<kVectors>(sums[r], to, d + r, lane);
}

template <class Product, int kRows, int kVectors>
HWY_INLINE void ValueTail(int64_t features, const float* p, const WordRows& values, int rows,
                          const Sums& to, int64_t d, int lane) {
  if (features == kRows) return ValueRows<Product, kRows, kVectors>(p, values, rows, to, d, lane);
  if constexpr (kRows > 1) {
    ValueTail<Product, kRows - 1, kVectors>(features, p, values, rows, to, d, lane);
  }
}

template <class Product, int kVectors>
HWY_NOINLINE void ValueVectors(const float* p, const WordRows& values, int rows, const Sums& to,
                               int lane) {
  constexpr int kRows = RegisterRows(kVectors);
  int64_t d = 0;
  for (; d + kRows <= values.words; d += kRows) {
    ValueRows<Product, kRows, kVectors>(p, values, rows, to, d, lane);
  }
  if (d < values.words) {
    ValueTail<Product, kRows, kVectors>(values.words - d, p, values, rows, to, d, lane);
  }
}

// For lanes [begin, end), in whole vectors.
template <class Product>
HWY_INLINE void Values(const float* p, const WordRows& values, int rows, int begin, int end,
                       const Sums& to) {
  ForVectors(begin, end, [&](auto vectors, int lane) HWY_ATTR {
    ValueVectors<Product, decltype(vectors)::value>(p, values, rows, to, lane);
  });
}
