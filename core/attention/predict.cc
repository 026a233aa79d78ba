// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "core/attention/cost.h"
#include "core/attention/plan.h"
#include "core/attention/rates.h"
#include "core/base/math.h"

namespace attend {

using internal::Arithmetic;
using internal::Kernel;
using internal::SequencePlan;

namespace {

// Rows of scores that the decode kernel adds up together.
constexpr int64_t kDecodeGroup = 4;

// Packing the values for a tile takes as long as the multiply-adds of so many rows: 7 % of those
// of a whole tile, measured. The rates are those of kMaxTilesPerTask tiles that share it.
constexpr double kPackingRows = 0.07 * internal::kTileRows;

double Round(int64_t count, int64_t unit) {
  return static_cast<double>(RoundUp(count, unit));
}

// Seconds of one worker and what bounds the sharing of them.
struct Total {
  double seconds = 0.0;
  double tasks = 0.0;
  double memory_bytes = 0.0;
};

// The bytes that a sequence reads and writes: of keys and values those that some row may read.
double CountBytes(const AttentionShape& shape, const AttentionParams& params,
                  const PlacedSequence& sequence) {
  const double all = AttentionBytes(shape, shape.type, sequence);
  if (!params.limits_keys() || sequence.key_length == 0) return all;
  PlacedSequence rows_alone = sequence;
  rows_alone.key_length = 0;
  const double queries = AttentionBytes(shape, shape.type, rows_alone);
  const auto rows = static_cast<double>(sequence.query_length);
  const auto keys = static_cast<double>(sequence.key_length);
  const double reachable = std::min(CountReadableElements(params, sequence) / rows + rows, keys);
  return queries + (all - queries) * reachable / keys;
}

// Predicts one sequence.
class SequencePrediction {
 public:
  SequencePrediction(const AttentionRates& rates, const CpuFeatures& cpu,
                     const AttentionShape& shape, const AttentionParams& params,
                     const PlacedSequence& sequence, int workers)
      : rates_(rates), shape_(shape), params_(params), sequence_(sequence) {
    const AttentionProblem problem{shape, shape.type, shape.type, &params, {}};
    plan_ = internal::PlanSequence(problem, SequenceProblem(sequence), cpu);
    SequencePlan* const plans[] = {&plan_};
    internal::GroupTasks(plans, workers);
    open_ = static_cast<double>(shape.num_heads - params.CountClosedGates()) /
            static_cast<double>(shape.num_heads);
    lanes_ = internal::CountVectorLanes(cpu);
    keys_ = MeanKeys();
  }

  // `recent`: a cache may hold the request's operands.
  void AddTo(bool recent, Total& total) const {
    const bool decode = plan_.choice.kernel == Kernel::kDecode;
    const double compute = (decode ? Decode() : Prefill()) + Scores() + Rows();
    const double bytes = CountBytes(shape_, params_, sequence_);
    // Decode waits for memory before it converts; otherwise reading and computing overlap.
    const bool waits = decode && Converts() && !recent;
    total.seconds +=
        waits ? compute + bytes * rates_.convert_memory_byte
              : std::max(compute, bytes * (recent ? rates_.recent_byte : rates_.memory_byte));
    total.seconds += rates_.sequence + rates_.task * static_cast<double>(plan_.tasks());
    if (!recent) total.memory_bytes += bytes;
    total.tasks += static_cast<double>(plan_.mean_of_weights ? plan_.row_tiles : plan_.tasks());
  }

 private:
  double Width() const { return static_cast<double>(shape_.head_dim + shape_.value_head_dim); }

  // Keys that a row is computed with, on average. Blocks on an edge of what rows may read are
  // computed for whole vectors of rows: about half a block more at each edge.
  double MeanKeys() const {
    const auto rows = static_cast<double>(sequence_.query_length);
    const auto keys = static_cast<double>(sequence_.key_length);
    double mean = CountReadableElements(params_, sequence_) / rows;
    if (mean <= 0.0) return 0.0;
    const double half_block = internal::kEdgeBlock / 2.0;
    if (params_.causal || params_.window_right.has_value()) mean += half_block;
    if (params_.window_left.has_value()) mean += half_block;
    return std::min(mean, keys);
  }

  // Rows of all heads, each tile's padded to whole vectors.
  double PaddedRows() const {
    if (plan_.row_tiles <= 1) {
      return static_cast<double>(plan_.head_tiles) * Round(plan_.max_tile_size(), lanes_);
    }
    const int64_t last = sequence_.query_length - (plan_.row_tiles - 1) * plan_.rows_per_tile;
    return static_cast<double>(plan_.head_tiles) *
           (static_cast<double>(plan_.row_tiles - 1) * Round(plan_.rows_per_tile, lanes_) +
            Round(last, lanes_));
  }

  bool Converts() const {
    return shape_.type != DataType::kFloat32 && plan_.choice.arithmetic == Arithmetic::kFloat32;
  }

  // Each pass over keys and values serves the tiles of a task, and packs or converts them.
  double Prefill() const {
    const KernelRates& kernel = rates_.prefill[static_cast<int>(plan_.choice.arithmetic)];
    const double scores = open_ * PaddedRows() * keys_;
    const double passes =
        static_cast<double>(plan_.head_tiles) *
        std::ceil(static_cast<double>(plan_.row_tiles) / static_cast<double>(plan_.tiles_per_task));
    const double shared_passes = static_cast<double>(plan_.tiles()) / internal::kMaxTilesPerTask;
    const double packed = open_ * std::max(passes - shared_passes, 0.0) * keys_;
    double seconds = scores * (kernel.score + kernel.multiply_add * Width()) +
                     packed * kPackingRows * kernel.multiply_add * Width();
    if (Converts()) seconds += open_ * passes * keys_ * ConvertKey();
    return seconds;
  }

  // Converting one head's key and value.
  double ConvertKey() const { return 2.0 * rates_.convert_row + Width() * rates_.convert_feature; }

  double Decode() const {
    const KernelRates& kernel = rates_.decode[static_cast<int>(plan_.choice.arithmetic)];
    const bool pairs = plan_.choice.arithmetic == Arithmetic::kBFloat16Pairs;
    const int64_t per_head = plan_.heads_per_tile * plan_.rows_per_tile;
    const double key_heads =
        static_cast<double>(shape_.num_kv_heads * plan_.tiles_per_group) * open_ * keys_;
    const double exponentials = open_ * PaddedRows() * keys_;
    // Features fill whole vectors.
    const double width =
        Round(shape_.head_dim, lanes_ * (pairs ? 2 : 1)) + Round(shape_.value_head_dim, lanes_);
    double seconds =
        key_heads * (static_cast<double>(DivideUp(per_head, kDecodeGroup)) * kernel.score +
                     static_cast<double>(per_head) * kernel.multiply_add * width) +
        exponentials * rates_.prefill[0].score;
    if (Converts()) seconds += key_heads * ConvertKey();
    return seconds;
  }

  // The steps that options add per score.
  double Scores() const {
    const double scores = open_ * static_cast<double>(shape_.num_heads) *
                          static_cast<double>(sequence_.query_length) * keys_;
    double per_score = 0.0;
    if (params_.softcap != 0.0f) per_score += rates_.softcap;
    if (sequence_.mask.data != nullptr) per_score += rates_.term;
    if (sequence_.bias.data != nullptr) per_score += rates_.term;
    if (shape_.has_relative_bias) per_score += rates_.term;
    if (sequence_.alibi_slopes != nullptr) per_score += rates_.term;
    double seconds = scores * per_score;
    if (params_.weights == WeightsOutput::kNone) return seconds;
    // All keys' weights are written, and scores are computed once more.
    const KernelRates& kernel = rates_.prefill[static_cast<int>(plan_.choice.arithmetic)];
    const bool every_key = params_.weights_stage != WeightsStage::kProbabilities;
    const auto keys = static_cast<double>(sequence_.key_length);
    const double weights =
        static_cast<double>(shape_.num_heads) * static_cast<double>(sequence_.query_length) * keys;
    seconds += weights * rates_.weight;
    return seconds + open_ * PaddedRows() * (every_key ? keys : keys_) *
                         (per_score + kernel.score +
                          kernel.multiply_add * static_cast<double>(shape_.head_dim));
  }

  double Rows() const {
    return rates_.feature * static_cast<double>(shape_.num_heads) *
           static_cast<double>(sequence_.query_length) * Width();
  }

  const AttentionRates& rates_;
  const AttentionShape& shape_;
  const AttentionParams& params_;
  const PlacedSequence& sequence_;
  SequencePlan plan_;
  double open_ = 1.0;  // share of heads whose gate is not 0
  int64_t lanes_ = 16;
  double keys_ = 0.0;
};

// Whether two sequences of one request take equal time. Either both have a mask, a bias and
// slopes, or neither has.
bool TakeEqualTime(const PlacedSequence& a, const PlacedSequence& b) {
  return a.query_length == b.query_length && a.key_length == b.key_length &&
         a.query_offset == b.query_offset;
}

}  // namespace

double PredictAttention(const AttentionRates& rates, const CpuFeatures& cpu,
                        const AttentionShape& shape, const AttentionParams& params,
                        absl::Span<const PlacedSequence> sequences, int workers) {
  double bytes = 0.0;
  for (const PlacedSequence& sequence : sequences) {
    if (sequence.query_length > 0) bytes += AttentionBytes(shape, shape.type, sequence);
  }
  const bool recent = bytes <= rates.recent_bytes;
  Total total, same;
  const PlacedSequence* previous = nullptr;
  for (const PlacedSequence& sequence : sequences) {
    if (sequence.query_length == 0) continue;
    // The sequences of a dense batch mostly have the same lengths: they are predicted once.
    if (previous == nullptr || !TakeEqualTime(*previous, sequence)) {
      same = Total();
      SequencePrediction(rates, cpu, shape, params, sequence, workers).AddTo(recent, same);
    }
    previous = &sequence;
    total.seconds += same.seconds;
    total.tasks += same.tasks;
    total.memory_bytes += same.memory_bytes;
  }
  if (total.tasks <= 0.0) return 0.0;
  const double shared = std::min(static_cast<double>(workers), total.tasks);
  return std::max(total.seconds / shared, total.memory_bytes * rates.shared_memory_byte);
}

}  // namespace attend
