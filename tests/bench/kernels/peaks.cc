// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kernels/peaks.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/simd/cpu.h"
#include "core/simd/dispatch.h"
#include "tests/bench/kernels/amx_peak.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/kernels/peaks.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

// Sums in an array stay in registers only where every loop over them is unrolled.
#if defined(__clang__)
#define ATTEND_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ATTEND_UNROLL _Pragma("GCC unroll 32")
#endif

HWY_BEFORE_NAMESPACE();
namespace attend::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Enough independent sums to hide a latency of 4 cycles at 2 per cycle, few enough for 16
// registers.
constexpr int kSums = 12;

// Returns the number of operations, and a number that keeps them alive.
double Multiply(int64_t rounds, float* out) {
  const hn::ScalableTag<float> df;
  using V = hn::Vec<decltype(df)>;
  V sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = hn::Set(df, static_cast<float>(i));
  const V a = hn::Set(df, 0.999f), b = hn::Set(df, 0.001f);
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kSums; ++i) sums[i] = hn::MulAdd(sums[i], a, b);
  }
  V all = sums[0];
  for (int i = 1; i < kSums; ++i) all = hn::Add(all, sums[i]);
  *out = hn::GetLane(all);
  return 2.0 * kSums * static_cast<double>(hn::Lanes(df)) * static_cast<double>(rounds);
}

double MultiplyBFloat16(int64_t rounds, float* out) {
#if HWY_TARGET == HWY_AVX3
  constexpr int kPairSums = 20;  // vdpbf16ps takes longer, and comes with 32 registers
  const hn::ScalableTag<float> df;
  using V = hn::Vec<decltype(df)>;
  V sums[kPairSums];
  ATTEND_UNROLL for (int i = 0; i < kPairSums; ++i) sums[i] = hn::Set(df, static_cast<float>(i));
  const V a = hn::Set(df, 0.001f), b = hn::Set(df, 0.001f);
  for (int64_t round = 0; round < rounds; ++round) {
    ATTEND_UNROLL for (int i = 0; i < kPairSums; ++i) {
      __asm__("vdpbf16ps %2, %1, %0" : "+v"(sums[i].raw) : "v"(a.raw), "v"(b.raw));
    }
  }
  V all = sums[0];
  ATTEND_UNROLL for (int i = 1; i < kPairSums; ++i) all = hn::Add(all, sums[i]);
  *out = hn::GetLane(all);
  return 4.0 * kPairSums * static_cast<double>(hn::Lanes(df)) * static_cast<double>(rounds);
#else
  (void)rounds;
  *out = 0.0f;
  return 0.0;
#endif
}

float Sum(const float* data, int64_t count) {
  const hn::ScalableTag<float> df;
  const int64_t n = static_cast<int64_t>(hn::Lanes(df));
  auto a = hn::Zero(df), b = hn::Zero(df), c = hn::Zero(df), d = hn::Zero(df);
  for (int64_t i = 0; i + 4 * n <= count; i += 4 * n) {
    a = hn::Add(a, hn::Load(df, data + i));
    b = hn::Add(b, hn::Load(df, data + i + n));
    c = hn::Add(c, hn::Load(df, data + i + 2 * n));
    d = hn::Add(d, hn::Load(df, data + i + 3 * n));
  }
  return hn::GetLane(hn::Add(hn::Add(a, b), hn::Add(c, d)));
}

}  // namespace HWY_NAMESPACE
}  // namespace attend::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace attend::bench {
namespace {

HWY_EXPORT(Multiply);
HWY_EXPORT(MultiplyBFloat16);
HWY_EXPORT(Sum);

std::atomic<float> sink;

double Seconds(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// The best of a few attempts, so that one disturbed attempt does not count. Each begins when all
// workers are ready: a worker that sleeps longer than the others work would otherwise leave its
// share to them.
template <typename Body>
double Best(WorkerPool& pool, const Body& body, int attempts) {
  double best = 0.0;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    std::vector<double> work(pool.size());
    std::atomic<int> absent{pool.size()};
    double start = 0.0;  // written by the last worker, before it sets `go`
    std::atomic<bool> go{false};
    pool.ParallelFor(pool.size(), [&](int64_t i, int) {
      if (absent.fetch_sub(1) == 1) {
        start = Now(pool);
        go.store(true);
      }
      while (!go.load()) std::this_thread::yield();
      work[i] = body(i);
    });
    const double seconds = Now(pool) - start;
    double total = 0.0;
    for (const double w : work) total += w;
    best = std::max(best, total / seconds);
  }
  return best;
}

// Several threads run at the same time less reliably than one does.
int Attempts(const WorkerPool& pool) {
  return pool.size() == 1 ? 3 : 9;
}

}  // namespace

double Now(const WorkerPool& pool) {
  return Seconds(pool.size() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC);
}

double WallNow() {
  return Seconds(CLOCK_MONOTONIC);
}

double FloatPeak(WorkerPool& pool) {
  return Best(
      pool,
      [](int64_t) {
        float out;
        const double flops = ATTEND_DISPATCH(Multiply)(200000, &out);
        sink = out;
        return flops;
      },
      Attempts(pool));
}

double BFloat16Peak(WorkerPool& pool) {
  if (GetCpuFeatures().amx_bf16)
    return Best(
        pool, [](int64_t) { return MultiplyTiles(30000); }, Attempts(pool));
  if (!GetCpuFeatures().avx512_bf16) return 0.0;
  return Best(
      pool,
      [](int64_t) {
        float out;
        const double flops = ATTEND_DISPATCH(MultiplyBFloat16)(200000, &out);
        sink = out;
        return flops;
      },
      Attempts(pool));
}

const char* BFloat16PeakInstruction() {
  if (GetCpuFeatures().amx_bf16) return "tdpbf16ps";
  return GetCpuFeatures().avx512_bf16 ? "vdpbf16ps" : "";
}

double ReadBandwidth(WorkerPool& pool) {
  constexpr size_t kBytes = size_t{256} << 20;  // many times any cache
  static std::vector<AlignedBuffer>
      buffers;  // kept, because first touches take longer than reading
  while (buffers.size() < static_cast<size_t>(pool.size())) {
    buffers.emplace_back(kBytes);
    std::fill_n(buffers.back().as<float>(), kBytes / 4, 1.0f);
  }
  return Best(
      pool,
      [&](int64_t i) {
        sink = ATTEND_DISPATCH(Sum)(buffers[i].as<float>(), kBytes / 4);
        return static_cast<double>(kBytes);
      },
      3);
}

}  // namespace attend::bench
#endif  // HWY_ONCE
