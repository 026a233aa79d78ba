// Working memory of a tile, or of several that go through keys together: each has its
// queries, sums and maxima, and all share the rest.
// Included by core/attention/tile.cc once for each SIMD target.

// Every matrix has kTileLanes columns, one a lane; for few rows q and o hold rows instead.
struct TileMemory {
  float* q;                           // [D]
  float* s;                           // [kKeyBlock]: scores, then P
  float* o;                           // [Dv]: sums of P v
  float* bias;                        // [kKeyBlock]
  float *max, *sum, *alpha, *factor;  // one row each
  float *slope, *row;                 // of ALiBi, one row each
  float* rows;                        // [kTileLanes][row_floats]: rows on their way in or out
  float* wide;     // [kKeyBlock][row_floats]: keys, or values of few rows, converted
  float* values;   // the same, of values converted or paired
  float* dump;     // [row_floats]: what lanes without a query write
  uint64_t* bits;  // [kKeyBlock]: bit l of word i: lane l reads key i
  AmxMemory amx;   // if asked for
  int64_t row_floats;

  size_t Carve(std::byte* data, const AttentionProblem& problem, bool with_amx) {
    Carver carver(data);
    const int64_t d = problem.head_dim, dv = problem.value_head_dim;
    row_floats = (std::max<int64_t>({d, dv, kKeyBlock}) + 15) / 16 * 16;
    CarveOwn(carver, problem);
    s = carver.Take<float>(kKeyBlock * kTileLanes);
    bias = carver.Take<float>(kKeyBlock * kTileLanes);
    rows = carver.Take<float>(kTileLanes * row_floats);
    wide = carver.Take<float>(kKeyBlock * row_floats);
    values = carver.Take<float>(kKeyBlock * row_floats);
    dump = carver.Take<float>(row_floats);
    bits = carver.Take<uint64_t>(kKeyBlock);
    if (with_amx) amx.Carve(carver, dv);
    return carver.used();
  }

  // What a tile has for itself; the rest stays as it is, that of another tile.
  void CarveOwn(Carver& carver, const AttentionProblem& problem) {
    q = carver.Take<float>(ShortStride(problem.head_dim) * kTileLanes);
    o = carver.Take<float>(ShortStride(problem.value_head_dim) * kTileLanes);
    for (float** one : {&max, &sum, &alpha, &factor, &slope, &row}) {
      *one = carver.Take<float>(kTileLanes);
    }
  }

  // Whole vectors, of bfloat16 too.
  static int64_t ShortStride(int64_t width) { return (width + 31) / 32 * 32; }
};
