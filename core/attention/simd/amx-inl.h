// Scores and sums of values by AMX tiles instead of vectors. The layouts are the same:
// a tile of scores is 16 keys of 16 lanes, its factors are keys as they lie in memory
// and queries as words (pairs of features) of lanes; a tile of sums is 16 features of
// 16 lanes, and its factors are values as words (pairs of keys) and P as words of lanes.
// Only the values are not as a tile needs them: a row must be a feature.
// Included by core/attention/tile.cc once for each SIMD target.

// What else a tile's memory needs with them.
struct AmxMemory {
  float* values;  // [Dv to whole tiles][kTileLanes]: words of 2 keys, up to kKeyBlock / 2
  float* edge;    // one tile

  void Carve(Carver& carver, int64_t value_head_dim) {
    values = carver.Take<float>((value_head_dim + 15) / 16 * 16 * kTileLanes);
    edge = carver.Take<float>(256);
  }
};

// Whether a way to multiply is over tiles.
template <class Product>
inline constexpr bool kOnTiles = false;

#if HWY_TARGET == HWY_AVX3

#ifndef ATTEND_AMX_TILES  // tests put a model in its place
#define ATTEND_AMX_TILES AmxTiles
#endif
using Tiles = ATTEND_AMX_TILES;

constexpr int64_t kLaneBytes = kTileLanes * 4;  // between rows of q, s, P, o

// The sums of 16 rows and kBlocks * 16 lanes, in tiles 0 to kBlocks - 1. A row of four
// such blocks reads each key (and each feature of the values) once; 64 cycles of products
// for 5 loads of 8 cycles, and four sums hide the latency of 52 cycles between products
// into one (Intel's Optimization Reference Manual, chapter on AMX).
template <int kBlocks>
struct AmxSums {
  using Before = AmxSums<kBlocks - 1>;
  static constexpr int kThis = kBlocks - 1;

  static HWY_INLINE void Zero() {
    Before::Zero();
    Tiles::Zero<kThis>();
  }
  static HWY_INLINE void Load(const float* rows) {
    Before::Load(rows);
    Tiles::Load<kThis>(rows + kThis * 16, kLaneBytes);
  }
  static HWY_INLINE void Store(float* rows) {
    Before::Store(rows);
    Tiles::Store<kThis>(rows + kThis * 16, kLaneBytes);
  }
  // Adds tile 4 times the 16 rows of words, which pass through tiles 5 to 7.
  static HWY_INLINE void MulAdd(const float* rows) {
    Before::MulAdd(rows);
    Tiles::Load<5 + kThis % 3>(rows + kThis * 16, kLaneBytes);
    Tiles::MulAdd<kThis, 4, 5 + kThis % 3>();
  }
};

template <>
struct AmxSums<0> {
  static HWY_INLINE void Zero() {}
  static HWY_INLINE void Load(const float* /*rows*/) {}
  static HWY_INLINE void Store(float* /*rows*/) {}
  static HWY_INLINE void MulAdd(const float* /*rows*/) {}
};

// Copies to `edge` what there is of 16 rows and words, and zeros: beyond it memory may
// not be readable, and would meet zeros as NaN.
HWY_NOINLINE void CopyEdge(const WordRows& k, int64_t key, int keys, int64_t word, float* edge) {
  const int64_t words = std::min<int64_t>(16, k.words - word);
  const __mmask16 mask = static_cast<__mmask16>((1u << words) - 1);
  for (int r = 0; r < 16; ++r, edge += 16) {
    const __m512i row = r < keys ? _mm512_maskz_loadu_epi32(mask, k.row(key + r) + word * 4)
                                 : _mm512_setzero_si512();
    _mm512_store_si512(edge, row);
  }
}

template <int kBlocks>
HWY_NOINLINE void AmxScoreBlocks(const float* q, const WordRows& k, int keys, float* edge,
                                 float* s) {
  for (int key = 0; key < keys; key += 16, s += 16 * kTileLanes) {
    PrefetchRows(k, std::min(key + 16, keys), std::min(key + 32, keys));
    AmxSums<kBlocks>::Zero();
    const float* queries = q;
    for (int64_t word = 0; word < k.words; word += 16, queries += 16 * kTileLanes) {
      if (key + 16 <= keys && word + 16 <= k.words) {
        Tiles::Load<4>(k.row(key) + word * 4, k.stride);
      } else {
        CopyEdge(k, key, std::min(16, keys - key), word, edge);
        Tiles::Load<4>(edge, 64);
      }
      AmxSums<kBlocks>::MulAdd(queries);
    }
    AmxSums<kBlocks>::Store(s);
  }
}

// o *= alpha, where that changes anything: mostly the maximum of a row comes early.
HWY_NOINLINE void ScaleSums(const Sums& to, int64_t width, int begin, int end) {
  const F32 df;
  for (int lane = begin; lane < end; lane += VectorLanes()) {
    const V32 alpha = hn::Load(df, to.alpha + lane);
    if (hn::AllTrue(df, hn::Eq(alpha, hn::Set(df, 1.0f)))) continue;
    for (int64_t d = 0; d < width; ++d) {
      float* o = to.o + d * kTileLanes + lane;
      hn::Store(hn::Mul(hn::Load(df, o), alpha), df, o);
    }
  }
}

// values: of AmxMemory; rows of P in whole tiles.
template <int kBlocks>
HWY_NOINLINE void AmxValueBlocks(const float* p, const float* values, int rows, int64_t width,
                                 bool first, float* o) {
  for (int64_t d = 0; d < width; d += 16, values += 16 * kTileLanes, o += 16 * kTileLanes) {
    if (first) {
      AmxSums<kBlocks>::Zero();
    } else {
      AmxSums<kBlocks>::Load(o);
    }
    for (int row = 0; row < rows; row += 16) {
      Tiles::Load<4>(values + row, kLaneBytes);
      AmxSums<kBlocks>::MulAdd(p + row * kTileLanes);
    }
    AmxSums<kBlocks>::Store(o);
  }
}

// A product of ManyRows, with Tiles of its thread alive. q and o have rows
// in whole tiles; those of q beyond the head dimension are 0.
struct AmxProduct {
  static constexpr int kElementsPerWord = 2;

  // As the function of this name, but that rows up to a multiple of 16 are overwritten.
  static HWY_INLINE void Scores(const float* q, const WordRows& k, int keys, int begin, int end,
                                const AmxMemory& memory, float* s) {
    ForVectors(begin, end, [&](auto blocks, int lane) HWY_ATTR {
      AmxScoreBlocks<decltype(blocks)::value>(q + lane, k, keys, memory.edge, s + lane);
    });
  }

  // Transposes words of values, which lie in `words`, where their rows are filled with 0 up
  // to a multiple of 16: memory must have them.
  static HWY_INLINE void PackValues(const WordRows& values, float* words, int rows,
                                    const AmxMemory& memory) {
    const int all = (rows + 15) / 16 * 16;
    const int64_t stride = values.stride / 4;
    std::fill_n(words + rows * stride, (all - rows) * stride, 0.0f);
    const float* columns[kTileLanes];
    for (int row = 0; row < all; ++row) columns[row] = words + row * stride;
    GatherColumns(columns, values.words, all, memory.values);
  }

  // As the function of this name, of packed values, but that rows of P are filled with 0
  // up to a multiple of 16, which it must have.
  static HWY_INLINE void Values(float* p, const WordRows& values, int rows, int begin, int end,
                                const AmxMemory& memory, const Sums& to) {
    const int all = (rows + 15) / 16 * 16;
    std::fill_n(p + rows * kTileLanes, (all - rows) * kTileLanes, 0.0f);
    if (!to.first) ScaleSums(to, values.words, begin, end);
    ForVectors(begin, end, [&](auto blocks, int lane) HWY_ATTR {
      AmxValueBlocks<decltype(blocks)::value>(p + lane, memory.values, all, values.words, to.first,
                                              to.o + lane);
    });
  }
};

template <>
inline constexpr bool kOnTiles<AmxProduct> = true;

#endif
