// SPDX-License-Identifier: Apache-2.0

// Vectors of float32 lanes, loops over them, sums across lanes, and the two ways to multiply.

#if defined(ATTEND_CORE_SIMD_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTEND_CORE_SIMD_VECTORS_INL_H_
#undef ATTEND_CORE_SIMD_VECTORS_INL_H_
#else
#define ATTEND_CORE_SIMD_VECTORS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

// Sums in an array stay in registers only where every loop over them is unrolled.
#if !defined(ATTEND_UNROLL)
#if defined(__clang__)
#define ATTEND_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ATTEND_UNROLL _Pragma("GCC unroll 16")
#endif
#endif

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using V32 = hn::Vec<F32>;

HWY_INLINE int VectorLanes() {
  return static_cast<int>(hn::Lanes(F32()));
}

// The numbers of vectors, and of words broadcast to them, whose sums stay in registers together:
// at most 24 of 32, or 12 of 16. The words are of rows of tokens or keys, or of features of
// values.
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

// A factor of a multiplication is a word of four bytes: a float, or two neighbours of
// bfloat16, which are multiplied pairwise into one sum.
struct FloatMultiplier {
  static constexpr int kElementsPerWord = 1;
  static HWY_INLINE V32 MulAdd(V32 a, V32 b, V32 sum) { return hn::MulAdd(a, b, sum); }
};

#if HWY_TARGET == HWY_AVX3
struct BFloat16Multiplier {
  static constexpr int kElementsPerWord = 2;
  // Highway 1.0.3 has no target with this instruction. The assembler needs none, and the caller
  // has checked the CPU.
  static HWY_INLINE V32 MulAdd(V32 a, V32 b, V32 sum) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
    return sum;
  }
};
#endif

// Broadcasts the word at `p`, which needs no alignment, to all lanes.
HWY_INLINE V32 Broadcast(const std::byte* p) {
  float word;
  std::memcpy(&word, p, sizeof(word));
  return hn::Set(F32(), word);
}

// Loads the first `count` numbers of a vector and fills the rest with zeros; reads no byte after
// them.
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

// to[i] = the sum of the lanes of v[i].
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

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
