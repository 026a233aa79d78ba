// What the steps of a tile share: where its operands are, how its scores are scaled, and
// how far it has come.
// Included by core/attention/tile.cc once for each SIMD target.

// Heads of keys and values that a tile reads.
inline int KvHeads(const Tile& tile) {
  const int64_t group = tile.problem->num_heads / tile.problem->num_kv_heads;
  return static_cast<int>((tile.heads + group - 1) / group);
}

inline bool IsShort(const Tile& tile) {
  return tile.lanes() / KvHeads(tile) <= MostFewLanes(*tile.problem, *tile.sequence);
}

// Scores are taken in units of |scale| without multiplying them by it first; where that
// could overflow or lose them, the scale goes into the queries.
inline bool UnitIsUnsafe(float scale) {
  const float magnitude = std::fabs(scale);
  return !(magnitude > 0x1p-60f && magnitude < 0x1p60f);
}

struct TileState {
  TileState(const Tile& of, const TileMemory& in, bool few)
      : tile(of), problem(*of.problem), sequence(*of.sequence), memory(in), few_rows(few) {
    has_terms = sequence.mask.data != nullptr || sequence.has_bias();
    const float magnitude = std::fabs(problem.params->scale);
    const bool fold = UnitIsUnsafe(problem.params->scale);
    query_factor = fold ? problem.params->scale : std::copysign(1.0f, problem.params->scale);
    scale = fold ? 1.0f : magnitude;
    // What is added to scores needs them scaled.
    scaled =
        problem.params->softcap != 0.0f || sequence.has_bias() || sequence.alibi_slopes != nullptr;
    unit = scaled ? kLog2E : scale * kLog2E;
    kv_head = tile.first_head / (problem.num_heads / problem.num_kv_heads);
    limited = problem.params->limits_keys();
    reach = ReachOf(tile);
    if (reach.full_end < reach.end) {
      // Rounded down, so that blocks of the diagonal begin where rows do.
      reach.full_end = reach.full_end / kDiagonalBlock * kDiagonalBlock;
    }
    // Without keys that all rows read, all blocks are on an edge.
    if (reach.full_begin >= reach.full_end) reach.full_begin = reach.full_end = reach.end;
  }

  // Whether the lane has read at least one key.
  bool Readable(int lane) const { return ((readable_lanes >> lane) & 1) != 0; }

  const Tile& tile;
  const AttentionProblem& problem;
  const SequenceProblem& sequence;
  const TileMemory& memory;
  const bool few_rows;  // rows in memory.q and memory.o, not columns
  float query_factor;   // part of the scale that queries carry
  float scale;          // the rest, positive
  float unit;           // of s: exp(s * unit) in base 2
  bool scaled;          // scores are multiplied by scale before their softmax
  bool limited;         // positions limit what a row reads
  bool has_terms;       // a mask or a bias
  int64_t kv_head;      // the first
  Reach reach;

  bool first = true;            // no block has been added
  uint64_t readable_lanes = 0;  // lanes that read a key so far
};
