// Rounding of float32 vectors to bfloat16. Included once for each SIMD target, inside
// its namespace.

// Nearest, ties to even; overflow to infinity, NaN stays NaN. In integers, since
// instructions that round to bfloat16 take subnormals for 0.
template <class VF>
HWY_INLINE auto RoundToBFloat16(VF value) {
  const hn::DFromV<VF> df;
  const hn::RebindToUnsigned<decltype(df)> du;
  const hn::Rebind<uint16_t, decltype(df)> dh;
  const auto bits = hn::BitCast(du, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
  const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
  const auto nan = hn::RebindMask(du, hn::IsNaN(value));
  return hn::TruncateTo(dh, hn::ShiftRight<16>(hn::IfThenElse(nan, quiet, rounded)));
}
