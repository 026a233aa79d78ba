// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/attention/attention.h"
#include "core/attention/rates.h"
#include "core/base/aligned_buffer.h"
#include "core/base/find_least.h"
#include "core/exec/cores.h"
#include "core/exec/execution_context.h"

namespace attend {
namespace internal {
namespace {

// A measurement that needs all cores free at the same time is repeated more often than one of a
// single core.
constexpr MeasuredRuns kRuns = {2, 7, 0.005}, kSharedRuns = {2, 25, 0.05};

// Features of narrow and of wide heads. Between them, time grows with the number of features.
constexpr int64_t kNarrow = 2, kWide = 128;

// Rows and keys of a prefill: the four tiles that share a pass over the keys.
constexpr int64_t kRows = kMaxTilesPerTask * kTileRows, kKeys = 256;

// Bytes that a worker reads from memory, and from a second-level cache.
constexpr int64_t kMemoryBytes = int64_t{2} << 20, kCachedBytes = int64_t{256} << 10;
// Half of a third-level cache of 32 MiB, which requests share with each other and with weights.
constexpr double kRecentBytes = double{16 << 20};
constexpr int64_t kMaxSharedBytes = int64_t{32} << 20;

// One measurement: identical sequences that share operands, all 0 (speed does not depend on the
// numbers).
class Attempt {
 public:
  Attempt(int64_t rows, int64_t keys, const HeadShape& heads, DataType type, int64_t sequences = 1)
      : query_(Bytes(rows * heads.num_heads * heads.head_dim, type)),
        key_(Bytes(keys * heads.num_kv_heads * heads.head_dim, type)),
        value_(Bytes(keys * heads.num_kv_heads * heads.value_head_dim, type)),
        output_(Bytes(rows * heads.num_heads * heads.value_head_dim, type)) {
    for (AlignedBuffer* const buffer : {&query_, &key_, &value_, &output_}) {
      std::memset(buffer->data(), 0, buffer->size());
    }
    params_.scale = 1.0f / std::sqrt(static_cast<float>(heads.head_dim));
    static_cast<HeadShape&>(problem_) = heads;
    problem_.input_type = problem_.output_type = type;
    problem_.params = &params_;
    SequenceProblem sequence;
    sequence.query_length = rows;
    sequence.key_length = keys;
    // Rows come before heads, as in the default layout of requests.
    sequence.query = {query_.data(), heads.num_heads * heads.head_dim, heads.head_dim};
    sequence.key = {key_.data(), heads.num_kv_heads * heads.head_dim, heads.head_dim};
    sequence.value = {value_.data(), heads.num_kv_heads * heads.value_head_dim,
                      heads.value_head_dim};
    sequence.output = {output_.data(), heads.num_heads * heads.value_head_dim,
                       heads.value_head_dim};
    sequences_.assign(static_cast<size_t>(sequences), sequence);
  }

  AttentionParams& params() { return params_; }
  SequenceProblem& sequence() { return sequences_.front(); }
  int64_t key_value_bytes() const { return static_cast<int64_t>(key_.size() + value_.size()); }

  // Seconds of a run; the operands stay in the caches that hold them.
  double Time(ExecutionContext& context) {
    return FindLeast(kRuns, [&] {
      const auto start = std::chrono::steady_clock::now();
      Run(context);
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    });
  }

  // Seconds of a run that reads keys and values from memory.
  double TimeCold(ExecutionContext& context) {
    return FindLeast(context.workers() > 1 ? kSharedRuns : kRuns, [&] {
      TimeColdRead(key_.data(), key_.size(), [] {});
      return TimeColdRead(value_.data(), value_.size(), [&] { Run(context); });
    });
  }

 private:
  static size_t Bytes(int64_t elements, DataType type) {
    return static_cast<size_t>(elements) * ElementSize(type);
  }

  void Run(ExecutionContext& context) {
    problem_.sequences = sequences_;
    const AttentionProblem* const problems[] = {&problem_};
    ComputeAttention(problems, context);
  }

  AlignedBuffer query_, key_, value_, output_;
  AttentionParams params_;
  AttentionProblem problem_;
  std::vector<SequenceProblem> sequences_;
};

KernelRates MeasurePrefill(DataType type, ExecutionContext& context) {
  KernelTimes times;
  times.scores = static_cast<double>(kRows * kKeys);
  times.narrow_multiply_adds = times.scores * 2 * kNarrow;
  times.wide_multiply_adds = times.scores * 2 * kWide;
  times.narrow_seconds = Attempt(kRows, kKeys, {1, 1, kNarrow, kNarrow}, type).Time(context);
  times.wide_seconds = Attempt(kRows, kKeys, {1, 1, kWide, kWide}, type).Time(context);
  return FitKernelRates(times);
}

// Sequences of a measurement of decode, which would otherwise be short.
constexpr int64_t kSequences = 8;

// One row of eight heads that share keys and values: two groups of rows. Narrow heads fill one
// vector of bfloat16.
KernelRates MeasureDecode(DataType type, double exponential, ExecutionContext& context) {
  constexpr int64_t kHeads = 8, kNarrowest = 32;
  KernelTimes times;
  times.scores = 2 * kKeys * kSequences;
  const double multiply_adds = kKeys * kSequences * kHeads;
  // A vector of rows takes the time of all its lanes.
  const auto lanes = static_cast<double>(CountVectorLanes(ThisMachine().cpu));
  const double exponentials = exponential * lanes * kKeys * kSequences;
  times.narrow_multiply_adds = multiply_adds * 2 * kNarrowest;
  times.wide_multiply_adds = multiply_adds * 2 * kWide;
  const auto time = [&](int64_t width) {
    return Attempt(1, kKeys, {kHeads, 1, width, width}, type, kSequences).Time(context);
  };
  times.narrow_seconds = time(kNarrowest) - exponentials;
  times.wide_seconds = time(kWide) - exponentials;
  return FitKernelRates(times);
}

// What an option adds to each score.
template <class SetOption>
double MeasureOption(const SetOption& set_option, ExecutionContext& context) {
  Attempt attempt(kRows, kKeys, {1, 1, kNarrow, kNarrow}, DataType::kFloat32);
  const double without = attempt.Time(context);
  set_option(attempt);
  const double difference = attempt.Time(context) - without;
  return std::max(difference, 0.0) / static_cast<double>(kRows * kKeys);
}

void MeasureOptions(AttentionRates& rates, ExecutionContext& context) {
  std::vector<float> elements(static_cast<size_t>(kRows * kKeys));
  rates.softcap =
      MeasureOption([](Attempt& attempt) { attempt.params().softcap = 50.0f; }, context);
  rates.term = MeasureOption(
      [&](Attempt& attempt) {
        attempt.sequence().bias = {reinterpret_cast<const std::byte*>(elements.data()),
                                   DataType::kFloat32, 0, kKeys, 1};
      },
      context);
  const double weights = MeasureOption(
      [&](Attempt& attempt) {
        attempt.params().weights = WeightsOutput::kPerHead;
        attempt.params().weights_row_stride = kKeys;
        attempt.sequence().weights = elements.data();
      },
      context);
  rates.weight = std::max(weights - rates.prefill[0].score, 0.0);
}

void MeasureOverheads(AttentionRates& rates, ExecutionContext& context) {
  constexpr int64_t kCount = 32;
  const auto time = [&](int64_t rows, const HeadShape& heads, DataType type, int64_t sequences) {
    return Attempt(rows, 1, heads, type, sequences).Time(context) / static_cast<double>(kCount);
  };
  const double narrow = time(kTileRows, {kCount, kCount, kNarrow, kNarrow}, DataType::kFloat32, 1);
  const double wide = time(kTileRows, {kCount, kCount, kWide, kWide}, DataType::kFloat32, 1);
  rates.task = narrow;
  rates.feature = std::max(wide - narrow, 0.0) / static_cast<double>(kTileRows * 2 * kWide);
  rates.sequence = std::max(time(1, {1, 1, kNarrow, kNarrow}, DataType::kFloat32, kCount), 0.0);
}

// Converting rows of keys and values, from decodes of float16 and float32.
void MeasureConversion(AttentionRates& rates, ExecutionContext& context) {
  const auto row = [&](int64_t width) {
    const HeadShape heads = {1, 1, width, width};
    const double plain = Attempt(1, kKeys, heads, DataType::kFloat32, kSequences).Time(context);
    const double converted = Attempt(1, kKeys, heads, DataType::kFloat16, kSequences).Time(context);
    return std::max(converted - plain, 0.0) / static_cast<double>(2 * kKeys * kSequences);
  };
  // Features that fill no vector are converted one by one.
  constexpr int64_t kFew = 3;
  const double narrow = row(kFew), wide = row(kWide);
  rates.convert_feature = std::max(wide - narrow, 0.0) / static_cast<double>(kWide - kFew);
  rates.convert_row = narrow;
}

// A decode of one row whose heads share nothing, which takes little but reading.
double MeasureBytes(int64_t bytes, bool cold, ExecutionContext& context) {
  constexpr int64_t kHeads = 12, kWidth = 64;
  const int64_t keys = bytes / (kHeads * 2 * kWidth * static_cast<int64_t>(sizeof(float)));
  Attempt attempt(1, keys, {kHeads, kHeads, kWidth, kWidth}, DataType::kFloat32);
  const double seconds = cold ? attempt.TimeCold(context) : attempt.Time(context);
  return seconds / static_cast<double>(attempt.key_value_bytes());
}

void MeasureMemory(AttentionRates& rates, ExecutionContext& context) {
  rates.memory_byte = MeasureBytes(kMemoryBytes, true, context);
  const double cached = std::min(MeasureBytes(kCachedBytes, false, context), rates.memory_byte);
  // Whether a cache still holds a request depends on what else came meanwhile. This is at most
  // 1.6 times too short and 1.25 times too long where caches are twice as fast as memory.
  rates.recent_byte = (3.0 * cached + rates.memory_byte) / 4.0;
  // Measured on a Zen 5: 3.5 times for heads of 128 features, 6 times for heads of 64.
  rates.convert_memory_byte = 4.5 * rates.memory_byte;
  const int cores = UsableCores();
  ExecutionContext all(cores);
  const int64_t bytes = std::min(kMemoryBytes * cores, kMaxSharedBytes);
  rates.shared_memory_byte = std::min(MeasureBytes(bytes, true, all), rates.memory_byte);
  rates.recent_bytes = kRecentBytes;
}

}  // namespace

AttentionRates MeasureAttentionRates() {
  ExecutionContext context(1);
  const CpuFeatures& cpu = ThisMachine().cpu;
  AttentionRates rates;
  rates.prefill[0] = MeasurePrefill(DataType::kFloat32, context);
  rates.decode[0] = MeasureDecode(DataType::kFloat32, rates.prefill[0].score, context);
  if (cpu.avx512_bf16) {
    const auto pairs = cpu.amx_bf16 ? Arithmetic::kAmx : Arithmetic::kBFloat16Pairs;
    rates.prefill[static_cast<int>(pairs)] = MeasurePrefill(DataType::kBFloat16, context);
    rates.decode[1] = MeasureDecode(DataType::kBFloat16, rates.prefill[0].score, context);
  }
  MeasureOptions(rates, context);
  MeasureOverheads(rates, context);
  MeasureConversion(rates, context);
  MeasureMemory(rates, context);
  return rates;
}

}  // namespace internal

const AttentionRates& GetAttentionRates() {
  static const AttentionRates rates = internal::MeasureAttentionRates();
  return rates;
}

}  // namespace attend
