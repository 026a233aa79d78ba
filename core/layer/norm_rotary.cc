// SPDX-License-Identifier: Apache-2.0
#include "core/layer/norm_rotary.h"

#include <algorithm>
#include <cmath>

#include "core/simd/dispatch.h"
#include "core/tensor/convert.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/layer/norm_rotary.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace attend::internal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// x / sqrt(mean(x^2) + epsilon) * weight (Zhang, Sennrich, 2019,
// arxiv.org/abs/1910.07467).
void NormHead(const float* weight, double epsilon, int64_t width, float* head) {
  const hn::ScalableTag<float> df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  auto squares = hn::Zero(df);
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    const auto x = hn::LoadU(df, head + i);
    squares = hn::MulAdd(x, x, squares);
  }
  float sum = hn::GetLane(hn::SumOfLanes(df, squares));
  for (; i < width; ++i) sum += head[i] * head[i];
  const double mean = static_cast<double>(sum) / static_cast<double>(width);
  const auto factor = static_cast<float>(1.0 / std::sqrt(mean + epsilon));
  const auto factors = hn::Set(df, factor);
  for (i = 0; i + lanes <= width; i += lanes) {
    const auto x = hn::Mul(hn::LoadU(df, head + i), factors);
    hn::StoreU(hn::Mul(x, hn::LoadU(df, weight + i)), df, head + i);
  }
  for (; i < width; ++i) head[i] = head[i] * factor * weight[i];
}

// Rotates the pairs (m, m + pairs) of a head.
void RotateHalves(const float* cos, const float* sin, int64_t pairs, float* head) {
  const hn::ScalableTag<float> df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t m = 0;
  for (; m + lanes <= pairs; m += lanes) {
    const auto a = hn::LoadU(df, head + m), b = hn::LoadU(df, head + pairs + m);
    const auto c = hn::LoadU(df, cos + m), s = hn::LoadU(df, sin + m);
    hn::StoreU(hn::MulSub(a, c, hn::Mul(b, s)), df, head + m);
    hn::StoreU(hn::MulAdd(a, s, hn::Mul(b, c)), df, head + pairs + m);
  }
  for (; m < pairs; ++m) {
    const float a = head[m], b = head[pairs + m];
    head[m] = a * cos[m] - b * sin[m];
    head[pairs + m] = a * sin[m] + b * cos[m];
  }
}

// Rotates the pairs (2 m, 2 m + 1) of a head.
void RotateInterleaved(const float* cos, const float* sin, int64_t pairs, float* head) {
  const hn::ScalableTag<float> df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t m = 0;
  for (; m + lanes <= pairs; m += lanes) {
    auto a = hn::Undefined(df), b = hn::Undefined(df);
    hn::LoadInterleaved2(df, head + 2 * m, a, b);
    const auto c = hn::LoadU(df, cos + m), s = hn::LoadU(df, sin + m);
    hn::StoreInterleaved2(hn::MulSub(a, c, hn::Mul(b, s)), hn::MulAdd(a, s, hn::Mul(b, c)), df,
                          head + 2 * m);
  }
  for (; m < pairs; ++m) {
    const float a = head[2 * m], b = head[2 * m + 1];
    head[2 * m] = a * cos[m] - b * sin[m];
    head[2 * m + 1] = a * sin[m] + b * cos[m];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::internal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend::internal {

HWY_EXPORT(NormHead);
HWY_EXPORT(RotateHalves);
HWY_EXPORT(RotateInterleaved);

NormRotary::NormRotary(const LayerConfig& config, const LayerWeights& weights)
    : type_(config.compute_type()),
      query_heads_(config.num_heads),
      key_heads_(config.num_kv_heads),
      head_dim_(config.head_dim),
      norm_(config.query_key_norm),
      epsilon_(config.norm_epsilon),
      query_norm_(weights.query_norm),
      key_norm_(weights.key_norm),
      interleaved_(config.rotary.has_value() &&
                   config.rotary->layout == RotaryConfig::Layout::kInterleaved) {
  if (config.rotary.has_value()) angles_.emplace(*config.rotary);
}

void NormRotary::AddTasks(const Rows& rows, ArenaList<Rows>& tasks) const {
  constexpr int64_t kBlock = RotaryAngles::kBlock;
  const int64_t width = (rows.query ? query_heads_ : key_heads_) * head_dim_;
  const int64_t row_bytes = width * static_cast<int64_t>(ElementSize(type_));
  for (int64_t row = 0; row < rows.count;) {
    const int64_t position = rows.position + row;
    const int64_t step = ((position % kBlock) + kBlock) % kBlock;
    const int64_t count = std::min(kBlock - step, rows.count - row);
    tasks.Add({rows.data + row * row_bytes, count, position, rows.query});
    row += count;
  }
}

void NormRotary::Run(absl::Span<const Rows> tasks, ExecutionContext& context) const {
  context.pool().ParallelFor(static_cast<int64_t>(tasks.size()), [&](int64_t i, int worker) {
    RunTask(tasks[static_cast<size_t>(i)], context.arena(worker));
  });
}

void NormRotary::RunTask(const Rows& rows, Arena& arena) const {
  ArenaFrame frame(arena);
  Memory memory = {};
  if (angles_.has_value()) {
    const auto pairs = static_cast<size_t>(angles_->pairs());
    memory.block.cos = frame.Take<double>(pairs);
    memory.block.sin = frame.Take<double>(pairs);
    memory.cos = frame.Take<float>(pairs);
    memory.sin = frame.Take<float>(pairs);
    angles_->Enter(rows.position, memory.block);
  }
  const int64_t width = (rows.query ? query_heads_ : key_heads_) * head_dim_;
  if (type_ != DataType::kFloat32) memory.row = frame.Take<float>(static_cast<size_t>(width));
  for (int64_t r = 0; r < rows.count; ++r) {
    std::byte* const row = rows.data + r * width * static_cast<int64_t>(ElementSize(type_));
    if (type_ == DataType::kFloat32) {
      RunRow(rows, rows.position + r, reinterpret_cast<float*>(row), memory);
      continue;
    }
    ConvertToFloat(type_, row, memory.row, width);
    RunRow(rows, rows.position + r, memory.row, memory);
    ConvertFromFloat(memory.row, type_, row, width);
  }
}

void NormRotary::RunRow(const Rows& rows, int64_t position, float* row,
                        const Memory& memory) const {
  float* const end = row + (rows.query ? query_heads_ : key_heads_) * head_dim_;
  if (norm_) {
    const float* weight = (rows.query ? query_norm_ : key_norm_).data();
    for (float* head = row; head != end; head += head_dim_) {
      ATTEND_DISPATCH(NormHead)(weight, epsilon_, head_dim_, head);
    }
  }
  if (!angles_.has_value()) return;
  angles_->At(memory.block, position, memory.cos, memory.sin);
  const auto rotate =
      interleaved_ ? ATTEND_DISPATCH(RotateInterleaved) : ATTEND_DISPATCH(RotateHalves);
  for (float* head = row; head != end; head += head_dim_) {
    rotate(memory.cos, memory.sin, angles_->pairs(), head);
  }
}

}  // namespace attend::internal
#endif  // HWY_ONCE
