// SPDX-License-Identifier: Apache-2.0
#include "tests/core/simd/amx_model.h"

namespace attend::internal {
namespace {

// Replaces denormal numbers by 0 of the same sign.
float Flush(float x) {
  return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0.0f, x) : x;
}
float FromBits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return Flush(x);
}
float Low(uint32_t word) {
  return FromBits(word << 16);
}
float High(uint32_t word) {
  return FromBits(word & 0xffff0000u);
}

}  // namespace

// AmxModel::Available() implies these instructions. Without them a fused multiply-add is a call.
__attribute__((target("avx512f,fma"))) void MulAddTile(uint32_t* c, const uint32_t* a,
                                                       const uint32_t* b) {
  for (int m = 0; m < 16; ++m) {
    float low[16] = {}, high[16] = {};
    for (int k = 0; k < 16; ++k) {
      const uint32_t word = a[m * 16 + k];
      for (int n = 0; n < 16; ++n) {
        const uint32_t other = b[k * 16 + n];
        low[n] = Flush(__builtin_fmaf(Low(word), Low(other), low[n]));
        high[n] = Flush(__builtin_fmaf(High(word), High(other), high[n]));
      }
    }
    for (int n = 0; n < 16; ++n) {
      float sum;
      std::memcpy(&sum, &c[m * 16 + n], sizeof(sum));
      sum = Flush(Flush(sum) + Flush(low[n] + high[n]));
      std::memcpy(&c[m * 16 + n], &sum, sizeof(sum));
    }
  }
}

}  // namespace attend::internal
