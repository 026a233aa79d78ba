// Few query rows: features stand in lanes of vectors, so that keys and values are read
// once, in whole vectors and in the order of memory, whatever the number of query heads
// that share them.
// Included by core/attention/tile.cc once for each SIMD target.
//
// Queries are rows [lane][stride] of words, zero up to the stride; scores are the tile's
// matrix s[key][lane]; sums are rows o[lane][stride]. A key/value head serves `lanes`
// lanes that follow each other, and the next head the next ones.

// Lanes, and vectors of values, that are summed in registers together: enough to hide the
// latency of multiply-add, few enough for 32 or 16 registers. A value is loaded, and paired
// with that of the next row, once for all of them.
#if HWY_TARGET == HWY_AVX3
constexpr int kShortLanes = 4;
#else
constexpr int kShortLanes = 2;
#endif
constexpr int kShortVectors = 4;

// Keys that are scored in one go for four lanes: queries are loaded once for all.
#if HWY_TARGET == HWY_AVX3
constexpr int kShortKeys = 4;
#else
constexpr int kShortKeys = 2;
#endif

// Rows of values at least between two visits of their sums, which take as long as a row.
constexpr int64_t kShortRows = 8;

// The first `count` of a vector's numbers, then zeros; reads no byte after them.
template <class D>
HWY_INLINE hn::Vec<D> LoadFirst(D d, const std::byte* from, int64_t count) {
  using T = hn::TFromD<D>;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  if constexpr (HWY_TARGET == HWY_AVX3 || sizeof(T) == 4) {
    return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d,
                          reinterpret_cast<const T*>(from));
  }
#endif
  HWY_ALIGN T padded[hn::MaxLanes(D())] = {};
  std::memcpy(padded, from, static_cast<size_t>(count) * sizeof(T));
  return hn::Load(d, padded);
}

template <class D>
HWY_INLINE hn::Vec<D> LoadBytes(D d, const std::byte* from) {
  return hn::LoadU(d, reinterpret_cast<const hn::TFromD<D>*>(from));
}

#if HWY_TARGET != HWY_SCALAR

// Adds up the blocks of 128 bits.
template <class D>
HWY_INLINE void StoreBlockSums(D d, hn::Vec<D> v, float* to) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    hn::StoreU(v, d, to);
  } else {
    const hn::Half<D> dh;
    StoreBlockSums(dh, hn::Add(hn::LowerHalf(dh, v), hn::UpperHalf(dh, v)), to);
  }
}

#endif

// to[i] = sum of the lanes of v[i].
HWY_INLINE void StoreLaneSums(const V32* v, float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) to[i] = hn::GetLane(v[i]);
#else
  const F32 df;
  const hn::RepartitionToWide<F32> dw;
  // In each block of 128 bits: a0 + a2, b0 + b2, a1 + a3, b1 + b3; then of a, b, c, d.
  const V32 ab = hn::Add(hn::InterleaveLower(df, v[0], v[1]), hn::InterleaveUpper(df, v[0], v[1]));
  const V32 cd = hn::Add(hn::InterleaveLower(df, v[2], v[3]), hn::InterleaveUpper(df, v[2], v[3]));
  const auto ab_wide = hn::BitCast(dw, ab), cd_wide = hn::BitCast(dw, cd);
  const V32 low = hn::BitCast(df, hn::InterleaveLower(dw, ab_wide, cd_wide));
  const V32 high = hn::BitCast(df, hn::InterleaveUpper(dw, ab_wide, cd_wide));
  StoreBlockSums(df, hn::Add(low, high), to);
#endif
}

struct ShortLanes {
  int heads;  // of keys and values
  int lanes;  // of each
};

HWY_INLINE int64_t DivideUp(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// s[key][lane] for kKeys keys and kLanes lanes, at most four.
template <class Product, int kKeys, int kLanes>
HWY_INLINE void ShortScoreKeys(const float* HWY_RESTRICT q, int64_t q_stride, RowsAt k,
                               int64_t words, Fetch& ahead, int64_t lines, float* HWY_RESTRICT s) {
  Fetch fetch = ahead;  // in registers
  const F32 df;
  const int64_t n = VectorLanes();
  V32 sums[kKeys][4];
  ATTEND_UNROLL for (int r = 0; r < kKeys; ++r) {
    ATTEND_UNROLL for (int l = 0; l < 4; ++l) sums[r][l] = hn::Zero(df);
  }
  const auto add = [&](int64_t at, auto whole) HWY_ATTR {
    V32 keys[kKeys];
    fetch.Lines(lines);
    ATTEND_UNROLL for (int r = 0; r < kKeys; ++r) {
      const std::byte* from = k.row(r) + at * 4;
      keys[r] = decltype(whole)::value ? LoadBytes(df, from) : LoadFirst(df, from, words - at);
    }
    ATTEND_UNROLL for (int l = 0; l < kLanes; ++l) {
      const V32 query = hn::Load(df, q + l * q_stride + at);
      ATTEND_UNROLL for (int r = 0; r < kKeys; ++r) {
        sums[r][l] = Product::MulAdd(keys[r], query, sums[r][l]);
      }
    }
  };
  int64_t at = 0;
  for (; at + n <= words; at += n) add(at, std::true_type());
  if (at < words) add(at, std::false_type());
  ahead = fetch;
  ATTEND_UNROLL for (int r = 0; r < kKeys; ++r) {
    if constexpr (kLanes == 4) {
      StoreLaneSums(sums[r], s + r * kTileLanes);
    } else {
      float to[4];
      StoreLaneSums(sums[r], to);
      ATTEND_UNROLL for (int l = 0; l < kLanes; ++l) s[r * kTileLanes + l] = to[l];
    }
  }
}

template <class Product, int kLanes>
HWY_INLINE void ShortScoreLanes(const float* q, int64_t q_stride, RowsAt k, int64_t words, int keys,
                                Fetch& fetch, int64_t lines, float* s) {
  if (keys == kShortKeys) {
    return ShortScoreKeys<Product, kShortKeys, kLanes>(q, q_stride, k, words, fetch, lines, s);
  }
  for (int key = 0; key < keys; ++key) {
    ShortScoreKeys<Product, 1, kLanes>(q, q_stride, {k.row(key), k.stride}, words, fetch, lines,
                                       s + key * kTileLanes);
  }
}

// Scores of all lanes.
template <class Product>
HWY_NOINLINE void ShortScores(const float* q, int64_t q_stride, const ShortLanes& lanes,
                              const HeadRows& k, float* s) {
  const int64_t row_bytes = k.width * 4;
  const ShortOrder order(k, lanes.heads, row_bytes);
  const int ahead = static_cast<int>(
      std::min<int64_t>(DivideUp(kFetchBytes, order.bytes * kShortKeys) * kShortKeys, k.rows));
  const int64_t lines =
      DivideUp(kShortKeys * 4 * VectorLanes(), kLineBytes * DivideUp(lanes.lanes, 4));
  for (int first = 0; first < lanes.heads; first += order.at_once) {
    for (int key = 0; key < k.rows; key += kShortKeys) {
      const int keys = std::min(kShortKeys, k.rows - key);
      Fetch fetch = order.Ahead(k, lanes.heads, first, key, ahead, kShortKeys);
      for (int head = first; head < first + order.at_once; ++head) {
        const RowsAt rows = k.At(head, key);
        for (int lane = 0; lane < lanes.lanes; lane += 4) {
          const int at = head * lanes.lanes + lane;
          const float* queries = q + at * q_stride;
          float* to = s + key * kTileLanes + at;
          const int left = lanes.lanes - lane;
          if (left >= 4) {
            ShortScoreLanes<Product, 4>(queries, q_stride, rows, k.width, keys, fetch, lines, to);
          } else if (left == 3) {
            ShortScoreLanes<Product, 3>(queries, q_stride, rows, k.width, keys, fetch, lines, to);
          } else if (left == 2) {
            ShortScoreLanes<Product, 2>(queries, q_stride, rows, k.width, keys, fetch, lines, to);
          } else {
            ShortScoreLanes<Product, 1>(queries, q_stride, rows, k.width, keys, fetch, lines, to);
          }
        }
      }
    }
  }
}

// How rows of values become vectors that meet the words of P, and how their sums become
// rows of features again.
template <class Product>
struct ShortValueLoads {           // float
  static constexpr int kRows = 1;  // that a word of P stands for
  static constexpr int kVectors = 1;
  static int64_t Features() { return VectorLanes(); }
  static HWY_INLINE void Load(const std::byte* const (&rows)[1], int64_t d, int64_t left, V32* to) {
    const F32 df;
    to[0] = left >= VectorLanes() ? LoadBytes(df, rows[0] + d * 4)
                                  : LoadFirst(df, rows[0] + d * 4, left);
  }
  static int64_t Position(int64_t d) { return d; }
  static HWY_INLINE void InOrder(V32* /*vectors*/) {}
};

#if HWY_TARGET == HWY_AVX3
// Two rows of 32 features become two vectors of pairs, the low and the high four of each
// eight features, as interleaving within blocks of 128 bits leaves them.
template <>
struct ShortValueLoads<BFloat16Product> {
  static constexpr int kRows = 2;
  static constexpr int kVectors = 2;
  static int64_t Features() { return 32; }
  static HWY_INLINE void Load(const std::byte* const (&rows)[2], int64_t d, int64_t left, V32* to) {
    const F32 df;
    const hn::Repartition<uint16_t, F32> dh;
    auto low = hn::Zero(dh), high = hn::Zero(dh);
    if (left >= 32) {
      low = LoadBytes(dh, rows[0] + d * 2);
      if (rows[1] != nullptr) high = LoadBytes(dh, rows[1] + d * 2);
    } else {
      low = LoadFirst(dh, rows[0] + d * 2, left);
      if (rows[1] != nullptr) high = LoadFirst(dh, rows[1] + d * 2, left);
    }
    to[0] = hn::BitCast(df, hn::InterleaveLower(dh, low, high));
    to[1] = hn::BitCast(df, hn::InterleaveUpper(dh, low, high));
  }
  static int64_t Position(int64_t d) {
    return d / 32 * 32 + d % 8 / 4 * 16 + d % 32 / 8 * 4 + d % 4;
  }
  static HWY_INLINE void InOrder(V32* vectors) {
    alignas(64) static constexpr int32_t kFirst[16] = {0, 1, 2, 3, 16, 17, 18, 19,
                                                       4, 5, 6, 7, 20, 21, 22, 23};
    alignas(64) static constexpr int32_t kSecond[16] = {8,  9,  10, 11, 24, 25, 26, 27,
                                                        12, 13, 14, 15, 28, 29, 30, 31};
    const __m512 low = vectors[0].raw, high = vectors[1].raw;
    vectors[0] = V32{_mm512_permutex2var_ps(low, _mm512_load_si512(kFirst), high)};
    vectors[1] = V32{_mm512_permutex2var_ps(low, _mm512_load_si512(kSecond), high)};
  }
};
#endif

// Rows of values that are added in one go, and what their sums are first multiplied by.
struct ShortValueStep {
  RowsAt rows;
  int count;
  int64_t width;
  const float* alpha;  // null: 1
  bool first;          // no sums yet
  int64_t lines;       // to ask for beside each row, or pair of rows
};

// o = alpha * o + P v for kLanes lanes and kVectors vectors from feature d on; without
// alpha * o at first.
template <class Product, int kLanes, int kVectors>
HWY_INLINE void ShortValueColumns(const float* HWY_RESTRICT p, const ShortValueStep& v, int lane,
                                  int64_t d, float* HWY_RESTRICT o, int64_t o_stride,
                                  Fetch& ahead) {
  Fetch fetch = ahead;  // in registers
  using Loads = ShortValueLoads<Product>;
  const F32 df;
  const int64_t n = VectorLanes();
  p += lane;
  o += lane * o_stride;
  V32 sums[kLanes][kVectors];
  ATTEND_UNROLL for (int l = 0; l < kLanes; ++l) {
    ATTEND_UNROLL for (int i = 0; i < kVectors; ++i) {
      sums[l][i] = hn::Zero(df);
      if (v.first) continue;
      sums[l][i] = hn::Load(df, o + l * o_stride + i * n);
      if (v.alpha != nullptr) sums[l][i] = hn::Mul(sums[l][i], hn::Set(df, v.alpha[lane + l]));
    }
  }
  const auto add = [&](int r, auto whole) HWY_ATTR {
    const std::byte* from[Loads::kRows];
    ATTEND_UNROLL for (int i = 0; i < Loads::kRows; ++i) {
      from[i] = r + i < v.count ? v.rows.row(r + i) : nullptr;
    }
    fetch.Lines(v.lines);
    V32 values[kVectors];
    ATTEND_UNROLL for (int i = 0; i < kVectors; i += Loads::kVectors) {
      const int64_t at = d + i / Loads::kVectors * Loads::Features();
      Loads::Load(from, at, decltype(whole)::value ? Loads::Features() : v.width - at, values + i);
    }
    ATTEND_UNROLL for (int l = 0; l < kLanes; ++l) {
      const V32 weight = hn::Set(df, p[r / Loads::kRows * kTileLanes + l]);
      ATTEND_UNROLL for (int i = 0; i < kVectors; ++i) {
        sums[l][i] = Product::MulAdd(values[i], weight, sums[l][i]);
      }
    }
  };
  if (d + kVectors / Loads::kVectors * Loads::Features() <= v.width) {
    for (int r = 0; r < v.count; r += Loads::kRows) add(r, std::true_type());
  } else {
    for (int r = 0; r < v.count; r += Loads::kRows) add(r, std::false_type());
  }
  ATTEND_UNROLL for (int l = 0; l < kLanes; ++l) {
    ATTEND_UNROLL for (int i = 0; i < kVectors; ++i) {
      hn::Store(sums[l][i], df, o + l * o_stride + i * n);
    }
  }
  ahead = fetch;
}

template <class Product, int kVectors>
HWY_INLINE void ShortValueLanes(const float* p, int lanes, const ShortValueStep& v, int64_t d,
                                float* o, int64_t o_stride, Fetch& fetch) {
  int lane = 0;
  for (; lane + kShortLanes <= lanes; lane += kShortLanes) {
    ShortValueColumns<Product, kShortLanes, kVectors>(p, v, lane, d, o, o_stride, fetch);
  }
  if constexpr (kShortLanes > 2) {
    if (lane + 2 <= lanes) {
      ShortValueColumns<Product, 2, kVectors>(p, v, lane, d, o, o_stride, fetch);
      lane += 2;
    }
  }
  if (lane < lanes) ShortValueColumns<Product, 1, kVectors>(p, v, lane, d, o, o_stride, fetch);
}

// Sums of all lanes.
template <class Product>
HWY_NOINLINE void ShortValues(const float* p, const ShortLanes& lanes, const HeadRows& v,
                              const float* alpha, bool first_block, float* o, int64_t o_stride) {
  using Loads = ShortValueLoads<Product>;
  const int64_t n = VectorLanes();
  const int64_t whole = kShortVectors / Loads::kVectors * Loads::Features();
  const int64_t row_bytes = v.width * 4 / Loads::kRows;
  const ShortOrder order(v, lanes.heads, row_bytes);
  const int step = static_cast<int>(
      std::clamp<int64_t>(kFetchBytes / order.bytes / 2 * 2, kShortRows, kKeyBlock));
  const int64_t passes = DivideUp(v.width, whole) * DivideUp(lanes.lanes, kShortLanes);
  const int64_t lines = DivideUp(row_bytes * Loads::kRows, kLineBytes * passes);
  for (int first = 0; first < lanes.heads; first += order.at_once) {
    for (int row = 0; row < v.rows; row += step) {
      Fetch fetch = order.Ahead(v, lanes.heads, first, row, std::min(step, v.rows), step);
      for (int head = first; head < first + order.at_once; ++head) {
        const int lane = head * lanes.lanes;
        const ShortValueStep rows{v.At(head, row),
                                  std::min(step, v.rows - row),
                                  v.width,
                                  row == 0 ? alpha + lane : nullptr,
                                  first_block && row == 0,
                                  lines};
        const float* weights = p + row / Loads::kRows * kTileLanes + lane;
        float* to = o + lane * o_stride;
        int64_t d = 0;
        for (; d + whole <= v.width; d += whole, to += kShortVectors * n) {
          ShortValueLanes<Product, kShortVectors>(weights, lanes.lanes, rows, d, to, o_stride,
                                                  fetch);
        }
        for (; d < v.width; d += Loads::Features(), to += Loads::kVectors * n) {
          ShortValueLanes<Product, Loads::kVectors>(weights, lanes.lanes, rows, d, to, o_stride,
                                                    fetch);
        }
      }
    }
  }
}

// to[0, width) = a row of sums, its features in order. The row and `to` have room for
// whole vectors.
template <class Product>
HWY_INLINE void StoreShortSums(const float* o, int64_t width, float* to) {
  using Loads = ShortValueLoads<Product>;
  const F32 df;
  const int64_t n = VectorLanes();
  for (int64_t d = 0; d < width; d += Loads::Features(), o += Loads::kVectors * n) {
    V32 vectors[Loads::kVectors];
    ATTEND_UNROLL for (int i = 0; i < Loads::kVectors; ++i) vectors[i] = hn::Load(df, o + i * n);
    Loads::InOrder(vectors);
    for (int i = 0; i < Loads::kVectors && d + i * n < width; ++i) {
      const int64_t left = std::min<int64_t>(width - d - i * n, n);
      HWY_ALIGN float numbers[hn::MaxLanes(F32())];
      hn::Store(vectors[i], df, numbers);
      std::memcpy(to + d + i * n, numbers, static_cast<size_t>(left) * sizeof(float));
    }
  }
}
