// Vectors of lanes, loops over them, and the two ways to multiply. Included once for
// each SIMD target, inside its namespace, by kernels that keep sums in registers.

// Sums in an array stay in registers only where every loop over them is unrolled.
#if !defined(ATTEND_UNROLL)
#if defined(__clang__)
#define ATTEND_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ATTEND_UNROLL _Pragma("GCC unroll 16")
#endif
#endif

using F32 = hn::ScalableTag<float>;
using V32 = hn::Vec<F32>;

HWY_INLINE int VectorLanes() {
  return static_cast<int>(hn::Lanes(F32()));
}

// Vectors of lanes, and words broadcast against them (of rows of tokens or keys, or
// features of values), whose sums stay in registers together: at most 24 of 32, or
// 12 of 16.
#if HWY_TARGET == HWY_AVX3
constexpr int kMaxVectors = 4;
constexpr int RegisterRows(int vectors) {
  return vectors == 4 ? 6 : vectors == 3 ? 8 : 12;
}
#else
constexpr int kMaxVectors = 2;
constexpr int RegisterRows(int /*vectors*/) {
  return 6;
}
#endif

// Calls body(integral_constant<number of vectors>, first lane) until lanes
// [begin, end) are covered; begin is a multiple of the vector's lanes.
template <typename Body>
HWY_INLINE void ForVectors(int begin, int end, const Body& body) {
  const int n = VectorLanes();
  int lane = begin;
  for (; end - lane > (kMaxVectors - 1) * n; lane += kMaxVectors * n) {
    body(std::integral_constant<int, kMaxVectors>(), lane);
  }
  if (lane >= end) return;
  const int vectors = (end - lane + n - 1) / n;
  if (vectors == 1) return body(std::integral_constant<int, 1>(), lane);
  if constexpr (kMaxVectors > 2) {
    if (vectors == 2) return body(std::integral_constant<int, 2>(), lane);
    if (vectors == 3) return body(std::integral_constant<int, 3>(), lane);
  }
}

// A factor of a product is a word of four bytes: a float, or two neighbours of
// bfloat16, which are multiplied pairwise into one sum.
struct FloatProduct {
  static constexpr int kElementsPerWord = 1;
  static HWY_INLINE V32 MulAdd(V32 a, V32 b, V32 sum) { return hn::MulAdd(a, b, sum); }
};

#if HWY_TARGET == HWY_AVX3
struct BFloat16Product {
  static constexpr int kElementsPerWord = 2;
  // Highway 1.0.3 has no target with this instruction. An assembler needs none,
  // and whoever calls has asked the CPU.
  static HWY_INLINE V32 MulAdd(V32 a, V32 b, V32 sum) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
    return sum;
  }
};
#endif

// All lanes get the word at `p`, which needs no alignment.
HWY_INLINE V32 Broadcast(const std::byte* p) {
  float word;
  std::memcpy(&word, p, sizeof(word));
  return hn::Set(F32(), word);
}
