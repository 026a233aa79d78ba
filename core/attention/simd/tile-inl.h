// One tile: queries in lanes, keys in blocks, online softmax.
// Included by core/attention/tile.cc once for each SIMD target.

inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Memory of a tile; every matrix has kTileLanes columns, one a lane.
struct TileMemory {
  float* q;                           // [D]
  float* s;                           // [kKeyBlock]: scores, then P
  float* o;                           // [Dv]: sums of P v
  float* bias;                        // [kKeyBlock]
  float *max, *sum, *alpha, *factor;  // one row each
  float* rows;                        // [kTileLanes][row_floats]: rows on their way in or out
  float* wide;     // [kKeyBlock][row_floats]: keys or values, converted or paired
  float* dump;     // [row_floats]: what lanes without a query write
  uint64_t* bits;  // [kKeyBlock]: bit l of word i: lane l reads key i
  int64_t row_floats;

  size_t Carve(std::byte* data, const AttentionProblem& problem) {
    Carver carver(data);
    const int64_t d = problem.head_dim, dv = problem.value_head_dim;
    row_floats = (std::max<int64_t>({d, dv, kKeyBlock}) + 15) / 16 * 16;
    q = carver.Take<float>(d * kTileLanes);
    s = carver.Take<float>(kKeyBlock * kTileLanes);
    o = carver.Take<float>(dv * kTileLanes);
    bias = carver.Take<float>(kKeyBlock * kTileLanes);
    for (float** row : {&max, &sum, &alpha, &factor}) *row = carver.Take<float>(kTileLanes);
    rows = carver.Take<float>(kTileLanes * row_floats);
    wide = carver.Take<float>(kKeyBlock * row_floats);
    dump = carver.Take<float>(row_floats);
    bits = carver.Take<uint64_t>(kKeyBlock);
    return carver.used();
  }
};

// Keys that are computed together, for lanes from `begin_lane` on: those before
// it read none of them.
struct KeyBlock {
  KeyRange keys;
  int begin_lane = 0;
  bool partial = false;  // not every lane reads every key: see bits
};

template <class Product, class Store>
class TileRun {
 public:
  TileRun(const Tile& tile, const TileMemory& memory)
      : tile_(tile), p_(*tile.problem), sequence_(*tile.sequence), m_(memory) {
    has_terms_ = sequence_.mask.data != nullptr || sequence_.bias.data != nullptr;
    const float magnitude = std::fabs(p_.scale);
    const bool fold = UnitIsUnsafe(p_.scale);
    query_factor_ = fold ? p_.scale : std::copysign(1.0f, p_.scale);
    scale_ = fold ? 1.0f : magnitude;
    unit_ = sequence_.bias.data != nullptr ? kLog2E : scale_ * kLog2E;
    kv_head_ = tile.first_head / (p_.num_heads / p_.num_kv_heads);
    end_ = full_end_ = sequence_.key_length;
    if (p_.causal) {
      const int64_t first = Position(tile, tile.first_row);
      end_ = std::clamp<int64_t>(first + tile.rows, 0, sequence_.key_length);
      // Rounded down, so that blocks of the diagonal begin where rows do.
      full_end_ = std::clamp<int64_t>(first + 1, 0, end_) / kDiagonalBlock * kDiagonalBlock;
      first_position_ = first;
    }
  }

  // Scores are taken in units of |scale| without multiplying them by it first;
  // where that could overflow or lose them, the scale goes into the queries.
  static bool UnitIsUnsafe(float scale) {
    const float magnitude = std::fabs(scale);
    return !(magnitude > 0x1p-60f && magnitude < 0x1p60f);
  }

  void Run(const WeightsStep& weights) {
    PackQueries();
    std::fill_n(m_.max, kTileLanes, kMinusInfinity);
    std::fill_n(m_.sum, kTileLanes, 0.0f);
    ForBlocks([&](const KeyBlock& block) { Attend(block); });
    Finish();
    if (weights.write) WriteWeights(weights);
  }

 private:
  static constexpr bool kPaired = Product::kElementsPerWord == 2;

  // Blocks in order of keys; those on the causal diagonal are smaller.
  template <typename Body>
  void ForBlocks(const Body& body) {
    for (int64_t key = 0; key < full_end_; key += kKeyBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kKeyBlock, full_end_ - key));
      body(KeyBlock{{key, count}, 0, has_terms_});
    }
    for (int64_t key = full_end_; key < end_; key += kDiagonalBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kDiagonalBlock, end_ - key));
      int begin = 0;
      if (tile_.heads == 1) {
        begin = static_cast<int>(std::clamp<int64_t>(key - first_position_, 0, tile_.rows - 1));
        begin = begin / VectorLanes() * VectorLanes();
      }
      body(KeyBlock{{key, count}, begin, true});
    }
  }

  void Attend(const KeyBlock& block) {
    ScoreBlock(block);
    Softmax<Store>(m_.s, block.keys.count, block.begin_lane, tile_.lanes(), unit_,
                   {m_.max, m_.sum, m_.alpha});
    AddValues(block);
    first_ = false;
  }

  // s = what exponents are taken of, in units of unit_; -inf where not readable.
  void ScoreBlock(const KeyBlock& block) {
    Scores<Product>(m_.q, Keys(block.keys), block.keys.count, block.begin_lane, tile_.lanes(),
                    m_.s);
    if (!block.partial) {
      readable_lanes_ = ~uint64_t{0};
      return;
    }
    std::fill_n(m_.bits, block.keys.count, ~uint64_t{0});
    if (p_.causal) ClearNonCausal(tile_, block.keys, m_.bits);
    if (sequence_.mask.data != nullptr) ClearMasked(tile_, block.keys, m_.bits);
    if (sequence_.bias.data != nullptr) AddBias(block);
    for (int i = 0; i < block.keys.count; ++i) {
      readable_lanes_ |= m_.bits[i];
      SelectReadable(i, block.begin_lane, kMinusInfinity);
    }
  }

  void SelectReadable(int key, int begin_lane, float otherwise) {
    const F32 df;
    const int n = VectorLanes();
    float* s = m_.s + key * kTileLanes;
    for (int lane = begin_lane; lane < tile_.lanes(); lane += n) {
      const uint64_t bits = m_.bits[key] >> lane;
      const auto readable = hn::LoadMaskBits(df, reinterpret_cast<const uint8_t*>(&bits));
      hn::Store(hn::IfThenElse(readable, hn::Load(df, s + lane), hn::Set(df, otherwise)), df,
                s + lane);
    }
  }

  void AddBias(const KeyBlock& block) {
    const F32 df;
    const int n = VectorLanes(), lanes = tile_.lanes();
    const bool same = SameForAllLanes(tile_, sequence_.bias);
    const float* row_pointers[kTileLanes];
    for (int lane = 0; lane < (same ? 1 : lanes); ++lane) {
      LoadBias(tile_, lane, block.keys, m_.rows + lane * m_.row_floats);
    }
    for (int lane = 0; lane < kTileLanes; ++lane) {
      row_pointers[lane] = m_.rows + (same || lane >= lanes ? 0 : lane) * m_.row_floats;
    }
    GatherColumns(row_pointers, block.keys.count, lanes, m_.bias);
    const V32 scale = hn::Set(df, scale_), none = hn::Set(df, kMinusInfinity);
    for (int i = 0; i < block.keys.count; ++i) {
      for (int lane = block.begin_lane; lane < lanes; lane += n) {
        const V32 bias = hn::Load(df, m_.bias + i * kTileLanes + lane);
        float* s = m_.s + i * kTileLanes + lane;
        hn::Store(hn::MulAdd(hn::Load(df, s), scale, bias), df, s);
        uint64_t unreadable = 0;
        hn::StoreMaskBits(df, hn::Eq(bias, none), reinterpret_cast<uint8_t*>(&unreadable));
        m_.bits[i] &= ~(unreadable << lane);
      }
    }
  }

  // The block's keys as words: as they are in memory, or converted.
  WordRows Keys(KeyRange keys) {
    const int64_t element = static_cast<int64_t>(ElementSize(p_.input_type));
    const std::byte* data =
        sequence_.key.data +
        (keys.begin * sequence_.key.row_stride + kv_head_ * sequence_.key.head_stride) * element;
    const int64_t stride = sequence_.key.row_stride * element;
    if (kPaired) return {data, stride, p_.head_dim / 2};
    if (p_.input_type == DataType::kFloat32) return {data, stride, p_.head_dim};
    return Widen(data, stride, keys.count, p_.head_dim);
  }

  WordRows Widen(const std::byte* data, int64_t stride, int count, int64_t width) {
    for (int i = 0; i < count; ++i) {
      ConvertToFloat(p_.input_type, data + i * stride, m_.wide + i * m_.row_floats, width);
    }
    return {reinterpret_cast<const std::byte*>(m_.wide), m_.row_floats * 4, width};
  }

  const std::byte* ValueRow(int64_t key) const {
    return sequence_.value.data +
           (key * sequence_.value.row_stride + kv_head_ * sequence_.value.head_stride) *
               static_cast<int64_t>(ElementSize(p_.input_type));
  }

  void AddValues(const KeyBlock& block) {
    const int count = block.keys.count;
    const int64_t stride =
        sequence_.value.row_stride * static_cast<int64_t>(ElementSize(p_.input_type));
    const std::byte* data = ValueRow(block.keys.begin);
    // P = 0 times NaN or infinity would be NaN: such values must not reach lanes
    // that do not read their keys.
    const bool dirty = block.partial && HasNonFinite(data, stride, count);
    WordRows values{data, stride, p_.value_head_dim};
    int rows = count;
    if constexpr (kPaired) {
      values = Pair(data, stride, count, dirty);
      rows = (count + 1) / 2;
    } else if (dirty || p_.input_type != DataType::kFloat32 || stride != values.words * 4) {
      // Copied even where nothing is converted: rows of many heads lie a power of
      // two apart, share a few sets of the cache and would be fetched again for
      // every few features. Measured: 5 % at full length, 10 % under causal.
      values = Widen(data, stride, count, p_.value_head_dim);
      if (dirty) ReplaceNonFinite(count);
    }
    Values<Product>(m_.s, values, rows, block.begin_lane, tile_.lanes(), {m_.o, m_.alpha, first_});
    if (dirty) AddNonFinite(block);
  }

  bool HasNonFinite(const std::byte* data, int64_t stride, int count) const {
    bool found = false;
    for (int i = 0; i < count && !found; ++i) {
      const std::byte* row = data + i * stride;
      if (p_.input_type == DataType::kFloat32) {
        found = HasExponent<uint32_t>(row, p_.value_head_dim, 0x7f800000);
      } else {
        found = HasExponent<uint16_t>(row, p_.value_head_dim,
                                      p_.input_type == DataType::kBFloat16 ? 0x7f80 : 0x7c00);
      }
    }
    return found;
  }

  // Whether any of n numbers has all these bits set.
  template <typename Bits>
  static bool HasExponent(const std::byte* numbers, int64_t n, Bits exponent) {
    const hn::ScalableTag<Bits> d;
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
    const Bits* bits = reinterpret_cast<const Bits*>(numbers);
    const auto all = hn::Set(d, exponent);
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      const auto found = hn::Eq(hn::And(hn::LoadU(d, bits + i), all), all);
      if (!hn::AllFalse(d, found)) return true;
    }
    for (; i < n; ++i) {
      if ((bits[i] & exponent) == exponent) return true;
    }
    return false;
  }

  // In m_.wide: 0 for what is not finite.
  void ReplaceNonFinite(int count) {
    for (int i = 0; i < count; ++i) {
      float* row = m_.wide + i * m_.row_floats;
      for (int64_t d = 0; d < p_.value_head_dim; ++d) {
        if (!std::isfinite(row[d])) row[d] = 0.0f;
      }
    }
  }

  // Two rows of bfloat16 values become one of words, the first one low.
  WordRows Pair(const std::byte* data, int64_t stride, int count, bool finite_only) {
    for (int i = 0; i < count; i += 2) {
      uint32_t* words = reinterpret_cast<uint32_t*>(m_.wide + (i / 2) * m_.row_floats);
      const uint16_t* low = reinterpret_cast<const uint16_t*>(data + i * stride);
      const uint16_t* high =
          i + 1 < count ? reinterpret_cast<const uint16_t*>(data + (i + 1) * stride) : nullptr;
      PairRow(low, high, p_.value_head_dim, words);
      if (!finite_only) continue;
      for (int64_t d = 0; d < p_.value_head_dim; ++d) {
        if ((words[d] & 0x7f80u) == 0x7f80u) words[d] &= 0xffff0000u;
        if ((words[d] & 0x7f800000u) == 0x7f800000u) words[d] &= 0x0000ffffu;
      }
    }
    return {reinterpret_cast<const std::byte*>(m_.wide), m_.row_floats * 4, p_.value_head_dim};
  }

  static HWY_INLINE void PairRow(const uint16_t* low, const uint16_t* high, int64_t width,
                                 uint32_t* words) {
    const hn::RebindToUnsigned<F32> du;
    const hn::Rebind<uint16_t, F32> dh;
    int64_t d = 0;
    for (; d + VectorLanes() <= width; d += VectorLanes()) {
      auto word = hn::PromoteTo(du, hn::LoadU(dh, low + d));
      if (high != nullptr) {
        word = hn::Or(word, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(dh, high + d))));
      }
      hn::StoreU(word, du, words + d);
    }
    for (; d < width; ++d) {
      words[d] = low[d] | (high == nullptr ? 0u : uint32_t{high[d]} << 16);
    }
  }

  // What ReplaceNonFinite and Pair left out, for the lanes that do read it.
  void AddNonFinite(const KeyBlock& block) {
    for (int i = 0; i < block.keys.count; ++i) {
      const std::byte* row = ValueRow(block.keys.begin + i);
      for (int64_t d = 0; d < p_.value_head_dim; ++d) {
        const float value = LoadFloat(p_.input_type, row, d);
        if (std::isfinite(value)) continue;
        for (int lane = block.begin_lane; lane < tile_.lanes(); ++lane) {
          if (((m_.bits[i] >> lane) & 1) != 0) {
            m_.o[d * kTileLanes + lane] += StoredProbability(i, lane) * value;
          }
        }
      }
    }
  }

  float StoredProbability(int key, int lane) const {
    if (!kPaired) return m_.s[key * kTileLanes + lane];
    uint32_t word;
    std::memcpy(&word, m_.s + (key / 2) * kTileLanes + lane, sizeof(word));
    return BFloat16ToFloat(static_cast<uint16_t>(key % 2 == 0 ? word : word >> 16));
  }

  // Through contiguous rows: in memory they are often a power of two apart, and
  // then share too few sets of the cache to be visited piece by piece.
  void PackQueries() {
    const int64_t element = static_cast<int64_t>(ElementSize(p_.input_type));
    const float* rows[kTileLanes];
    for (int lane = 0; lane < kTileLanes; ++lane) {
      const int from = lane < tile_.lanes() ? lane : 0;  // spare lanes repeat the first
      float* row = m_.rows + from * m_.row_floats;
      rows[lane] = row;
      if (lane != from) continue;
      const std::byte* query =
          sequence_.query.data + (tile_.row(lane) * sequence_.query.row_stride +
                                  tile_.head(lane) * sequence_.query.head_stride) *
                                     element;
      if constexpr (kPaired) {
        std::memcpy(row, query, p_.head_dim * element);
      } else {
        ConvertToFloat(p_.input_type, query, row, p_.head_dim);
      }
    }
    const int64_t words = p_.head_dim / Product::kElementsPerWord;
    GatherColumns(rows, words, tile_.lanes(), m_.q);
    if (query_factor_ != 1.0f) MultiplyQueries(words * kTileLanes);
  }

  void MultiplyQueries(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (kPaired) {  // the factor is -1
        uint32_t word;
        std::memcpy(&word, m_.q + i, sizeof(word));
        word ^= 0x80008000u;
        std::memcpy(m_.q + i, &word, sizeof(word));
      } else {
        m_.q[i] *= query_factor_;
      }
    }
  }

  // Lanes that read at least one key.
  bool Readable(int lane) const { return ((readable_lanes_ >> lane) & 1) != 0; }

  void Finish() {
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      const float gate = p_.head_gates.empty() ? 1.0f : p_.head_gates[tile_.head(lane)];
      m_.factor[lane] = gate / m_.sum[lane];
    }
    float* rows[kTileLanes];
    for (int lane = 0; lane < kTileLanes; ++lane) {
      rows[lane] = lane < tile_.lanes() ? m_.rows + lane * m_.row_floats : m_.dump;
    }
    if (!first_) {
      Normalise();
      ScatterColumns(m_.o, p_.value_head_dim, tile_.lanes(), rows);
    }
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      if (!Readable(lane)) std::fill_n(rows[lane], p_.value_head_dim, 0.0f);
      ConvertFromFloat(rows[lane], p_.output_type, OutputRow(lane), p_.value_head_dim);
    }
  }

  void Normalise() {
    const F32 df;
    for (int lane = 0; lane < tile_.lanes(); lane += VectorLanes()) {
      const V32 factor = hn::Load(df, m_.factor + lane);
      for (int64_t d = 0; d < p_.value_head_dim; ++d) {
        float* o = m_.o + d * kTileLanes + lane;
        hn::Store(hn::Mul(hn::Load(df, o), factor), df, o);
      }
    }
  }

  std::byte* OutputRow(int lane) const {
    return sequence_.output.data + (tile_.row(lane) * sequence_.output.row_stride +
                                    tile_.head(lane) * sequence_.output.head_stride) *
                                       static_cast<int64_t>(ElementSize(p_.output_type));
  }

  // Scores once more, now that maxima and sums of whole rows are known: cheaper
  // than keeping Lq x Lk of them.
  void WriteWeights(const WeightsStep& step) {
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      m_.factor[lane] = Readable(lane) ? step.scale / m_.sum[lane] : 0.0f;
    }
    ForBlocks([&](KeyBlock block) {
      block.begin_lane = 0;
      ScoreBlock(block);
      Probabilities(m_.s, block.keys.count, tile_.lanes(), unit_, m_.max, m_.factor);
      if (block.partial) {
        for (int i = 0; i < block.keys.count; ++i) SelectReadable(i, 0, 0.0f);
      }
      StoreWeights(block.keys, step);
    });
    for (int lane = 0; lane < tile_.lanes() && !step.add; ++lane) {
      std::fill(WeightsRow(lane) + end_, WeightsRow(lane) + sequence_.key_length, 0.0f);
    }
  }

  void StoreWeights(KeyRange keys, const WeightsStep& step) {
    float* rows[kTileLanes];
    for (int lane = 0; lane < kTileLanes; ++lane) {
      rows[lane] = lane >= tile_.lanes() ? m_.dump
                   : step.add            ? m_.rows + lane * m_.row_floats
                                         : WeightsRow(lane) + keys.begin;
    }
    ScatterColumns(m_.s, keys.count, tile_.lanes(), rows);
    if (!step.add) return;
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      float* to = WeightsRow(lane) + keys.begin;
      for (int i = 0; i < keys.count; ++i) to[i] += rows[lane][i];
    }
  }

  float* WeightsRow(int lane) const {
    const int64_t head = p_.weights == WeightsOutput::kPerHead ? tile_.head(lane) : 0;
    return sequence_.weights + head * p_.weights_head_stride +
           tile_.row(lane) * p_.weights_row_stride;
  }

  const Tile& tile_;
  const AttentionProblem& p_;
  const SequenceProblem& sequence_;
  const TileMemory& m_;
  bool has_terms_ = false;
  bool first_ = true;            // no block has been added
  uint64_t readable_lanes_ = 0;  // lanes that read a key so far
  float query_factor_ = 1.0f;    // part of the scale that queries carry
  float scale_ = 1.0f;           // the rest, positive
  float unit_ = 1.0f;            // of s: exp(s * unit) in base 2
  int64_t kv_head_ = 0;
  int64_t end_ = 0;       // keys that any lane may read
  int64_t full_end_ = 0;  // keys that causal lets every lane read
  int64_t first_position_ = 0;
};
