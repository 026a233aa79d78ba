// What happens to a block of scores before its softmax: softcap and ALiBi.
// Included by core/attention/tile.cc once for each SIMD target.

// tanh(x), within about 2 units in the last place. Below 5/8 an odd polynomial
// (Cephes tanhf, S. Moshier); above, from t = e^(-2|x|) < 0.29, whose error hardly
// counts in (1 - t) / (1 + t). 1 for infinity, NaN for NaN.
HWY_INLINE V32 Tanh(V32 x) {
  const F32 df;
  const V32 magnitude = hn::Abs(x), one = hn::Set(df, 1.0f);
  const V32 square = hn::Mul(x, x);
  V32 p = hn::Set(df, -5.70498872745e-3f);
  p = hn::MulAdd(p, square, hn::Set(df, 2.06390887954e-2f));
  p = hn::MulAdd(p, square, hn::Set(df, -5.37397155531e-2f));
  p = hn::MulAdd(p, square, hn::Set(df, 1.33314422036e-1f));
  p = hn::MulAdd(p, square, hn::Set(df, -3.33332819422e-1f));
  const V32 small = hn::MulAdd(hn::Mul(p, square), x, x);
  const V32 t = Exp2<5>(hn::Mul(magnitude, hn::Set(df, -2.0f * kLog2E)));
  const V32 large = hn::Div(hn::Sub(one, t), hn::Add(one, t));
  return hn::IfThenElse(hn::Lt(magnitude, hn::Set(df, 0.625f)), small, hn::CopySign(large, x));
}

// s = cap * tanh(s * scale / cap) for lanes [begin, end), in whole vectors. The
// division is one: 1 / cap may be infinite.
HWY_NOINLINE void CapScores(float* s, int keys, int begin, int end, float scale, float cap) {
  const F32 df;
  const V32 scales = hn::Set(df, scale), caps = hn::Set(df, cap);
  for (int key = 0; key < keys; ++key) {
    for (int lane = begin; lane < end; lane += VectorLanes()) {
      float* at = s + key * kTileLanes + lane;
      const V32 x = hn::Div(hn::Mul(hn::Load(df, at), scales), caps);
      hn::Store(hn::Mul(Tanh(x), caps), df, at);
    }
  }
}

HWY_NOINLINE void ScaleScores(float* s, int keys, int begin, int end, float scale) {
  const F32 df;
  const V32 scales = hn::Set(df, scale);
  for (int key = 0; key < keys; ++key) {
    for (int lane = begin; lane < end; lane += VectorLanes()) {
      float* at = s + key * kTileLanes + lane;
      hn::Store(hn::Mul(hn::Load(df, at), scales), df, at);
    }
  }
}

// Slopes and positions of a tile's lanes, as ALiBi needs them.
struct AlibiLanes {
  const float* slope;
  const float* row;  // position of the lane, from that of the tile's first row
};

// s = s * scale - slope * |position - key|; the first key is `distance` before the
// tile's first row.
HWY_NOINLINE void AddAlibi(float* s, int keys, int begin, int end, float scale,
                           const AlibiLanes& lanes, int64_t distance) {
  const F32 df;
  const V32 scales = hn::Set(df, scale);
  for (int key = 0; key < keys; ++key) {
    const V32 first = hn::Set(df, static_cast<float>(distance - key));
    for (int lane = begin; lane < end; lane += VectorLanes()) {
      float* at = s + key * kTileLanes + lane;
      const V32 far = hn::Abs(hn::Add(hn::Load(df, lanes.row + lane), first));
      const V32 score = hn::Mul(hn::Load(df, at), scales);
      hn::Store(hn::NegMulAdd(hn::Load(df, lanes.slope + lane), far, score), df, at);
    }
  }
}
