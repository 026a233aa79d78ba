// Sums of products of rows with a panel: sums[row][lane] += sum over words w of
// row[w] * panel[w][lane], in order of w, whichever rows stand together: the bits of a
// row's sums depend on nothing but that row and the panel. Included once for each SIMD
// target, after vectors-inl.h.

// Rows in memory as they came: words of four bytes, strides in bytes.
struct WordRows {
  const std::byte* data;
  int64_t stride;
  int64_t words;  // in a row

  const std::byte* row(int64_t r) const { return data + r * stride; }
};

// Asks for nothing in advance: rows and panel are in near caches.
struct NoPrefetch {
  HWY_INLINE void operator()() {}
};

// `panel` points to the first lane of the first word; kLanes is its width, from one
// word to the next. `prefetch` is called once a word.
template <class Product, int kLanes, int kRows, int kVectors, class Prefetch = NoPrefetch>
HWY_INLINE void AddProducts(const float* HWY_RESTRICT panel, const std::byte* const (&rows)[kRows],
                            int64_t words, V32 (&sums)[kRows][kVectors],
                            Prefetch prefetch = Prefetch()) {
  const F32 df;
  const int n = VectorLanes();
  const int64_t bytes = words * 4;
  for (int64_t at = 0; at < bytes; at += 4, panel += kLanes) {
    V32 factors[kVectors];
    ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) factors[v] = hn::Load(df, panel + v * n);
    prefetch();
    ATTEND_UNROLL for (int r = 0; r < kRows; ++r) {
      const V32 word = Broadcast(rows[r] + at);
      ATTEND_UNROLL for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Product::MulAdd(word, factors[v], sums[r][v]);
      }
    }
  }
}
