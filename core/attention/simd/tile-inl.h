// One tile: queries in lanes, keys in blocks, online softmax.
// Included by core/attention/tile.cc once for each SIMD target.

inline constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Memory of a tile; every matrix has kTileLanes columns, one a lane.
struct TileMemory {
  float* q;                           // [D]
  float* s;                           // [kKeyBlock]: scores, then P
  float* o;                           // [Dv]: sums of P v
  float* bias;                        // [kKeyBlock]
  float *max, *sum, *alpha, *factor;  // one row each
  float *slope, *row;                 // of ALiBi, one row each
  float* rows;                        // [kTileLanes][row_floats]: rows on their way in or out
  float* wide;     // [kKeyBlock][row_floats]: keys or values, converted or paired
  float* dump;     // [row_floats]: what lanes without a query write
  uint64_t* bits;  // [kKeyBlock]: bit l of word i: lane l reads key i
  AmxMemory amx;   // if asked for
  int64_t row_floats;

  size_t Carve(std::byte* data, const AttentionProblem& problem, bool with_amx) {
    Carver carver(data);
    const int64_t d = problem.head_dim, dv = problem.value_head_dim;
    row_floats = (std::max<int64_t>({d, dv, kKeyBlock}) + 15) / 16 * 16;
    q = carver.Take<float>(ShortStride(d) * kTileLanes);
    s = carver.Take<float>(kKeyBlock * kTileLanes);
    o = carver.Take<float>(ShortStride(dv) * kTileLanes);
    bias = carver.Take<float>(kKeyBlock * kTileLanes);
    for (float** one : {&max, &sum, &alpha, &factor, &slope, &row}) {
      *one = carver.Take<float>(kTileLanes);
    }
    rows = carver.Take<float>(kTileLanes * row_floats);
    wide = carver.Take<float>(kKeyBlock * row_floats);
    dump = carver.Take<float>(row_floats);
    bits = carver.Take<uint64_t>(kKeyBlock);
    if (with_amx) amx.Carve(carver, dv);
    return carver.used();
  }

  // Whole vectors, of bfloat16 too.
  static int64_t ShortStride(int64_t width) { return (width + 31) / 32 * 32; }
};

// Keys that are computed together, for lanes [begin_lane, end_lane): the others
// read none of them.
struct KeyBlock {
  KeyRange keys;
  int begin_lane = 0;
  int end_lane = 0;
  bool partial = false;  // not every lane reads every key: see bits
};

// Heads of keys and values that a tile reads.
inline int KvHeads(const Tile& tile) {
  const int64_t group = tile.problem->num_heads / tile.problem->num_kv_heads;
  return static_cast<int>((tile.heads + group - 1) / group);
}

inline bool IsShort(const Tile& tile) {
  return tile.lanes() / KvHeads(tile) <= MostFewLanes(*tile.sequence);
}

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
    // What is added to scores needs them scaled.
    scaled_ =
        p_.softcap != 0.0f || sequence_.bias.data != nullptr || sequence_.alibi_slopes != nullptr;
    unit_ = scaled_ ? kLog2E : scale_ * kLog2E;
    kv_head_ = tile.first_head / (p_.num_heads / p_.num_kv_heads);
    limited_ = p_.causal || p_.window_left.has_value() || p_.window_right.has_value();
    reach_ = ReachOf(tile);
    if (reach_.full_end < reach_.end) {
      // Rounded down, so that blocks of the diagonal begin where rows do.
      reach_.full_end = reach_.full_end / kDiagonalBlock * kDiagonalBlock;
    }
    // Without keys that all rows read, all blocks are on an edge.
    if (reach_.full_begin >= reach_.full_end) reach_.full_begin = reach_.full_end = reach_.end;
  }

  // Scores are taken in units of |scale| without multiplying them by it first;
  // where that could overflow or lose them, the scale goes into the queries.
  static bool UnitIsUnsafe(float scale) {
    const float magnitude = std::fabs(scale);
    return !(magnitude > 0x1p-60f && magnitude < 0x1p60f);
  }

  void Run(const WeightsStep& weights) {
    PackQueries();
    AttendAll();
    if (sequence_.log_sum_exp != nullptr) WriteLogSumExp();
    if (!p_.sinks.empty()) AddSinks();
    Finish();
    if (!weights.write) return;
    if (p_.weights_stage == WeightsStage::kProbabilities) {
      WriteWeights(weights);
    } else {
      WriteScores();
    }
  }

  void RunPartial(const Partial& to) {
    lanes_.heads = KvHeads(tile_);
    lanes_.lanes = tile_.lanes() / lanes_.heads;
    short_ = IsShort(tile_);
    if (short_) {
      PackShortQueries();
    } else {
      PackQueries();
    }
    AttendAll();
    *to.lanes = readable_lanes_;
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      to.sum[lane] = m_.sum[lane];
      to.shift[lane] = m_.max[lane] == kMinusInfinity ? kMinusInfinity : Shift(lane);
    }
    if (!first_) StoreSums(to.values);
  }

 private:
  static constexpr bool kPaired = Product::kElementsPerWord == 2;
  using FewRowsProduct = typename ForFewRows<Product>::Product;

  // Blocks in order of keys; those on the edges of what rows reach are smaller.
  template <typename Body>
  void ForBlocks(const Body& body) {
    ForEdge(reach_.begin, reach_.full_begin, body);
    for (int64_t key = reach_.full_begin; key < reach_.full_end; key += kKeyBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kKeyBlock, reach_.full_end - key));
      body(KeyBlock{{key, count}, 0, tile_.lanes(), has_terms_});
    }
    ForEdge(reach_.full_end, reach_.end, body);
  }

  template <typename Body>
  void ForEdge(int64_t begin, int64_t end, const Body& body) {
    for (int64_t key = begin; key < end; key += kDiagonalBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kDiagonalBlock, end - key));
      KeyBlock block{{key, count}, 0, tile_.lanes(), true};
      if (tile_.heads == 1 && !short_) {
        const RowRange rows = RowsThatReach(tile_, block.keys);
        block.begin_lane = rows.begin / VectorLanes() * VectorLanes();
        block.end_lane = rows.end;
      }
      body(block);
    }
  }

  void AttendAll() {
    if (sequence_.alibi_slopes != nullptr) PackAlibi();
    std::fill_n(m_.max, kTileLanes, kMinusInfinity);
    std::fill_n(m_.sum, kTileLanes, 0.0f);
    ForBlocks([&](const KeyBlock& block) { Attend(block); });
  }

  void Attend(const KeyBlock& block) {
    if (first_ && (block.begin_lane > 0 || block.end_lane < tile_.lanes())) {
      std::fill_n(m_.o, p_.value_head_dim * kTileLanes, 0.0f);
      first_ = false;
    }
    ScoreBlock(block);
    Softmax<Store>(m_.s, block.keys.count, block.begin_lane, block.end_lane, unit_,
                   {m_.max, m_.sum, m_.alpha});
    AddValues(block);
    first_ = false;
  }

  // s = q k, unscaled.
  void MultiplyKeys(KeyRange keys, int begin, int end) {
    if (short_) return MultiplyShort(keys);
    if constexpr (kOnTiles<Product>) {
      Product::Scores(m_.q, Keys(keys), keys.count, begin, end, m_.amx, m_.s);
    } else {
      Scores<Product>(m_.q, Keys(keys), keys.count, begin, end, m_.s);
    }
  }

  // s = what exponents are taken of, in units of unit_; -inf where not readable.
  void ScoreBlock(const KeyBlock& block) {
    const int count = block.keys.count;
    MultiplyKeys(block.keys, block.begin_lane, block.end_lane);
    float scale = scale_;  // not applied yet
    if (p_.softcap != 0.0f) {
      CapScores(m_.s, count, block.begin_lane, block.end_lane, scale, p_.softcap);
      scale = 1.0f;
    }
    if (block.partial) {
      std::fill_n(m_.bits, count, ~uint64_t{0});
      if (limited_) ClearOutOfReach(tile_, block.keys, m_.bits);
      if (sequence_.mask.data != nullptr) ClearMasked(tile_, block.keys, m_.bits);
      if (sequence_.bias.data != nullptr) {
        AddBias(block, scale);
        scale = 1.0f;
      }
    }
    if (sequence_.alibi_slopes != nullptr) {
      AddAlibi(m_.s, count, block.begin_lane, block.end_lane, scale, {m_.slope, m_.row},
               tile_.position(0) - block.keys.begin);
    }
    if (!block.partial) {
      readable_lanes_ = ~uint64_t{0};
      return;
    }
    for (int i = 0; i < count; ++i) {
      readable_lanes_ |= m_.bits[i];
      SelectReadable(i, block, kMinusInfinity);
    }
  }

  void MultiplyShort(KeyRange keys) {
    const int64_t stride = TileMemory::ShortStride(p_.head_dim / Product::kElementsPerWord);
    if (AsInMemory()) {
      HeadRows rows = RowsOf(sequence_.key, keys, 0);
      rows.width = p_.head_dim / Product::kElementsPerWord;
      return ShortScores<FewRowsProduct>(m_.q, stride, lanes_, rows, m_.s);
    }
    for (int head = 0; head < lanes_.heads; ++head) {
      const HeadRows rows = RowsOf(sequence_.key, keys, head);
      const WordRows wide = Widen(rows.data, rows.row_stride, keys.count, p_.head_dim);
      const int lane = head * lanes_.lanes;
      ShortScores<FewRowsProduct>(m_.q + lane * stride, stride, {1, lanes_.lanes},
                                  {wide.data, wide.stride, 0, wide.words, keys.count}, m_.s + lane);
    }
  }

  // Whether keys and values can be multiplied as they come.
  bool AsInMemory() const { return kPaired || p_.input_type == DataType::kFloat32; }

  // Keys or values from one of the tile's heads on, but for their width.
  HeadRows RowsOf(const Rows& rows, KeyRange keys, int head) const {
    const int64_t element = static_cast<int64_t>(ElementSize(p_.input_type));
    return {
        rows.data + (keys.begin * rows.row_stride + (kv_head_ + head) * rows.head_stride) * element,
        rows.row_stride * element, rows.head_stride * element, 0, keys.count};
  }

  void SelectReadable(int key, const KeyBlock& block, float otherwise) {
    const F32 df;
    const int n = VectorLanes();
    float* s = m_.s + key * kTileLanes;
    for (int lane = block.begin_lane; lane < block.end_lane; lane += n) {
      const uint64_t bits = m_.bits[key] >> lane;
      const auto readable = hn::LoadMaskBits(df, reinterpret_cast<const uint8_t*>(&bits));
      hn::Store(hn::IfThenElse(readable, hn::Load(df, s + lane), hn::Set(df, otherwise)), df,
                s + lane);
    }
  }

  void PackAlibi() {
    for (int lane = 0; lane < kTileLanes; ++lane) {
      const int from = lane < tile_.lanes() ? lane : 0;
      m_.slope[lane] = sequence_.alibi_slopes[tile_.head(from)];
      m_.row[lane] = static_cast<float>(from % tile_.rows);
    }
  }

  // s = s * factor + bias; what bias makes unreadable leaves the bits.
  void AddBias(const KeyBlock& block, float factor) {
    const F32 df;
    const int n = VectorLanes(), lanes = tile_.lanes();
    const bool same = SameBiasForAllLanes(tile_);
    const float* row_pointers[kTileLanes];
    for (int lane = 0; lane < (same ? 1 : lanes); ++lane) {
      LoadBias(tile_, lane, block.keys, m_.rows + lane * m_.row_floats);
    }
    for (int lane = 0; lane < kTileLanes; ++lane) {
      row_pointers[lane] = m_.rows + (same || lane >= lanes ? 0 : lane) * m_.row_floats;
    }
    GatherColumns(row_pointers, block.keys.count, lanes, m_.bias);
    const V32 scale = hn::Set(df, factor), none = hn::Set(df, kMinusInfinity);
    for (int i = 0; i < block.keys.count; ++i) {
      for (int lane = block.begin_lane; lane < block.end_lane; lane += n) {
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

  void AddValues(const KeyBlock& block) {
    if (short_) return AddShortValues(block);
    const int count = block.keys.count;
    const int64_t stride =
        sequence_.value.row_stride * static_cast<int64_t>(ElementSize(p_.input_type));
    const std::byte* data = RowsOf(sequence_.value, block.keys, 0).data;
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
    const Sums to{m_.o, m_.alpha, first_};
    if constexpr (kOnTiles<Product>) {
      Product::Values(m_.s, values, m_.wide, rows, block.begin_lane, block.end_lane, m_.amx, to);
    } else {
      Values<Product>(m_.s, values, rows, block.begin_lane, block.end_lane, to);
    }
    if (dirty) AddNonFinite(block.keys, data, stride, block.begin_lane, block.end_lane);
  }

  void AddShortValues(const KeyBlock& block) {
    const int64_t stride = TileMemory::ShortStride(p_.value_head_dim);
    bool in_memory = AsInMemory();
    for (int head = 0; block.partial && in_memory && head < lanes_.heads; ++head) {
      const HeadRows rows = RowsOf(sequence_.value, block.keys, head);
      in_memory = !HasNonFinite(rows.data, rows.row_stride, rows.rows);
    }
    if (in_memory) {
      HeadRows rows = RowsOf(sequence_.value, block.keys, 0);
      rows.width = p_.value_head_dim;
      return ShortValues<FewRowsProduct>(m_.s, lanes_, rows, m_.alpha, first_, m_.o, stride);
    }
    for (int head = 0; head < lanes_.heads; ++head) {
      const HeadRows rows = RowsOf(sequence_.value, block.keys, head);
      const bool dirty = block.partial && HasNonFinite(rows.data, rows.row_stride, rows.rows);
      HeadRows copy{reinterpret_cast<const std::byte*>(m_.wide), m_.row_floats * 4, 0,
                    p_.value_head_dim, rows.rows};
      if constexpr (kPaired) {
        CopyFinite(rows);
      } else {
        Widen(rows.data, rows.row_stride, rows.rows, p_.value_head_dim);
        if (dirty) ReplaceNonFinite(rows.rows);
      }
      const int lane = head * lanes_.lanes;
      ShortValues<FewRowsProduct>(m_.s + lane, {1, lanes_.lanes}, copy, m_.alpha + lane, first_,
                                  m_.o + lane * stride, stride);
      if (dirty) {
        AddNonFinite(block.keys, rows.data, rows.row_stride, lane, lane + lanes_.lanes);
      }
    }
  }

  // Rows of bfloat16 values in m_.wide, 0 for what is not finite.
  void CopyFinite(const HeadRows& rows) {
    for (int i = 0; i < rows.rows; ++i) {
      const std::byte* from = rows.data + i * rows.row_stride;
      uint16_t* to = reinterpret_cast<uint16_t*>(m_.wide + i * m_.row_floats);
      for (int64_t d = 0; d < p_.value_head_dim; ++d) {
        uint16_t value;
        std::memcpy(&value, from + d * 2, sizeof(value));
        to[d] = (value & 0x7f80u) == 0x7f80u ? 0 : value;
      }
    }
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

  // What ReplaceNonFinite, Pair and CopyFinite left out, for the lanes that do read it.
  void AddNonFinite(KeyRange keys, const std::byte* data, int64_t stride, int begin_lane,
                    int end_lane) {
    for (int i = 0; i < keys.count; ++i) {
      const std::byte* row = data + i * stride;
      for (int64_t d = 0; d < p_.value_head_dim; ++d) {
        const float value = LoadFloat(p_.input_type, row, d);
        if (std::isfinite(value)) continue;
        for (int lane = begin_lane; lane < end_lane; ++lane) {
          if (((m_.bits[i] >> lane) & 1) != 0) {
            m_.o[SumAt(lane, d)] += StoredProbability(i, lane) * value;
          }
        }
      }
    }
  }

  // Where m_.o holds the sum of feature d.
  int64_t SumAt(int lane, int64_t d) const {
    if (!short_) return d * kTileLanes + lane;
    return lane * TileMemory::ShortStride(p_.value_head_dim) +
           ShortValueLoads<FewRowsProduct>::Position(d);
  }

  // Rows [lanes][Dv].
  void StoreSums(float* to) const {
    const int64_t width = p_.value_head_dim;
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      if (short_) {
        StoreShortSums<FewRowsProduct>(m_.o + lane * TileMemory::ShortStride(width), width,
                                       to + lane * width);
      } else {
        for (int64_t d = 0; d < width; ++d) to[lane * width + d] = m_.o[SumAt(lane, d)];
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
    if constexpr (kOnTiles<Product>) {
      const int64_t missing = (words + 15) / 16 * 16 - words;
      std::fill_n(m_.q + words * kTileLanes, missing * kTileLanes, 0.0f);
    }
    if (query_factor_ != 1.0f) MultiplyQueries(words * kTileLanes);
  }

  // Rows as they are in memory, with zeros behind them.
  void PackShortQueries() {
    const int64_t element = static_cast<int64_t>(ElementSize(p_.input_type));
    const int64_t words = p_.head_dim / Product::kElementsPerWord;
    const int64_t stride = TileMemory::ShortStride(words);
    std::fill_n(m_.q, tile_.lanes() * stride, 0.0f);
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      const std::byte* query =
          sequence_.query.data + (tile_.row(lane) * sequence_.query.row_stride +
                                  tile_.head(lane) * sequence_.query.head_stride) *
                                     element;
      if constexpr (kPaired) {
        std::memcpy(m_.q + lane * stride, query, p_.head_dim * element);
      } else {
        ConvertToFloat(p_.input_type, query, m_.q + lane * stride, p_.head_dim);
      }
    }
    if (query_factor_ != 1.0f) MultiplyQueries(tile_.lanes() * stride);
    // The last vector of lanes has some without a query, which begin as numbers that take
    // no longer.
    for (int i = 0; i < kKeyBlock; ++i) {
      for (int lane = tile_.lanes(); lane % VectorLanes() != 0; ++lane) {
        m_.s[i * kTileLanes + lane] = 0.0f;
      }
    }
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

  // The score that exponents were taken against: sums are of e^(score - this). Of the
  // product as it was rounded then (BaseOf), so that nothing is lost.
  double Shift(int lane) const {
    const float max = m_.max[lane] == kMinusInfinity ? 0.0f : m_.max[lane];
    const double scale = scaled_ ? 1.0f : scale_;
    const float offset = max * unit_;
    return std::fabs(offset) > kFarOffset ? max * scale : offset * (scale / unit_);
  }

  float Sink(int lane) const {
    return p_.sinks.empty() ? kMinusInfinity : p_.sinks[tile_.head(lane)];
  }

  // Before the sinks are in the sums: a sink far above the scores leaves no trace of
  // them there.
  void WriteLogSumExp() {
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      sequence_.log_sum_exp[tile_.head(lane) * p_.log_sum_exp_head_stride +
                            tile_.row(lane) * p_.log_sum_exp_row_stride] =
          LogSumExp(Shift(lane), Readable(lane) ? m_.sum[lane] : 0.0, Sink(lane));
    }
  }

  // They join the sums when these are whole: they have no value to be added.
  void AddSinks() {
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      m_.sum[lane] += static_cast<float>(std::exp(Sink(lane) - Shift(lane)));
    }
  }

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
      block.end_lane = tile_.lanes();
      ScoreBlock(block);
      Probabilities(m_.s, block.keys.count, tile_.lanes(), unit_, m_.max, m_.factor);
      if (block.partial) {
        for (int i = 0; i < block.keys.count; ++i) SelectReadable(i, block, 0.0f);
      }
      StoreWeights(block.keys, step);
    });
    if (!step.add) FillOutOfReach(0.0f);
  }

  // Scores of the stage asked for, once more.
  void WriteScores() {
    if (p_.weights_stage == WeightsStage::kBiased) {
      ForBlocks([&](KeyBlock block) {
        block.begin_lane = 0;
        block.end_lane = tile_.lanes();
        ScoreBlock(block);
        if (!scaled_) ScaleScores(m_.s, block.keys.count, 0, block.end_lane, scale_);
        StoreWeights(block.keys, {});
      });
      return FillOutOfReach(kMinusInfinity);
    }
    const bool cap = p_.weights_stage == WeightsStage::kSoftcapped && p_.softcap != 0.0f;
    for (int64_t key = 0; key < sequence_.key_length; key += kKeyBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kKeyBlock, sequence_.key_length - key));
      const KeyRange keys{key, count};
      MultiplyKeys(keys, 0, tile_.lanes());
      if (cap) {
        CapScores(m_.s, count, 0, tile_.lanes(), scale_, p_.softcap);
      } else {
        ScaleScores(m_.s, count, 0, tile_.lanes(), scale_);
      }
      StoreWeights(keys, {});
    }
  }

  void FillOutOfReach(float value) {
    for (int lane = 0; lane < tile_.lanes(); ++lane) {
      float* row = WeightsRow(lane);
      const int64_t begin = std::min(reach_.begin, reach_.end);
      std::fill(row, row + begin, value);
      std::fill(row + reach_.end, row + sequence_.key_length, value);
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
  bool short_ = false;  // rows in m_.q and m_.o, not columns
  ShortLanes lanes_{1, 1};
  bool limited_ = false;  // positions limit what a row reads
  bool scaled_ = false;   // scores are multiplied by scale_ before their softmax
  Reach reach_;
};
