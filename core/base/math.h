// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_BASE_MATH_H_
#define ATTEND_CORE_BASE_MATH_H_

namespace attend {

// Arithmetic on sizes. Values are >= 0, units are > 0, and the caller has bounded both, so
// that no sum overflows.

// value / unit, rounded up.
template <typename T>
constexpr T DivideUp(T value, T unit) {
  return (value + unit - 1) / unit;
}

// The smallest multiple of `unit` that is not below `value`.
template <typename T>
constexpr T RoundUp(T value, T unit) {
  return DivideUp(value, unit) * unit;
}

// log2(e): e^x = 2^(x * kLog2E).
inline constexpr float kLog2E = 1.44269504f;

}  // namespace attend

#endif  // ATTEND_CORE_BASE_MATH_H_
