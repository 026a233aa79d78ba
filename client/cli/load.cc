// SPDX-License-Identifier: Apache-2.0
#include "client/cli/load.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>
#include <utility>

namespace attend::cli {
namespace {

constexpr absl::Duration kProgressInterval = absl::Seconds(1);

int64_t SteadyNanoseconds() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

absl::Duration CpuTime() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

bool SameBits(const client::Tensor& a, const client::Tensor& b) {
  return a.size_bytes() == b.size_bytes() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace

Load::Load(client::Client& client, const std::vector<Sample>& samples, const LoadPlan& plan)
    : client_(client),
      samples_(samples),
      plan_(plan),
      end_(plan.warmup + plan.duration),
      first_outputs_(samples.size()) {}

absl::Duration Load::Now() const {
  return absl::Nanoseconds(SteadyNanoseconds() - start_ns_);
}

bool Load::Measured(absl::Duration time) const {
  return time >= plan_.warmup && time < end_;
}

LoadResult Load::Run(const std::function<void(const LoadProgress&)>& progress,
                     const std::atomic<bool>& stop) {
  progress_ = &progress;
  stop_ = &stop;
  start_ns_ = SteadyNanoseconds();
  const absl::Duration cpu_before = CpuTime();
  if (plan_.rate > 0) {
    RunOpen();
  } else {
    RunClosed();
  }
  ending_ = true;
  const absl::Duration ran = Now();
  const absl::Duration cpu = CpuTime() - cpu_before;
  std::unique_lock<std::mutex> lock(mutex_);
  ended_.wait(lock, [this] { return under_way_ == 0; });
  result_.measured =
      std::max(std::min(ran, end_) - std::min(plan_.warmup, ran), absl::Nanoseconds(1));
  result_.cpu_share = absl::FDivDuration(cpu, std::max(ran, absl::Nanoseconds(1)));
  return result_;
}

void Load::RunOpen() {
  std::mt19937_64 random(plan_.seed);
  std::exponential_distribution<double> gap(plan_.rate);
  absl::Duration planned;
  for (int64_t i = 1;; ++i) {
    if (!SleepUntil(planned)) return;
    bool full = false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      full = under_way_ >= plan_.max_under_way;
      if (full && Measured(planned)) ++result_.unsent;
    }
    if (!full) Send(planned);
    planned = plan_.poisson ? planned + absl::Seconds(gap(random))
                            : absl::Seconds(static_cast<double>(i) / plan_.rate);
    if (planned >= end_) break;
  }
  SleepUntil(end_);
}

void Load::RunClosed() {
  for (int64_t i = 0; i < plan_.concurrency; ++i) Send(Now());
  SleepUntil(end_);
}

bool Load::SleepUntil(absl::Duration then) {
  for (;;) {
    if (*stop_) return false;
    const absl::Duration now = Now();
    if (now - last_progress_ >= kProgressInterval) ReportProgress();
    if (now >= then) return true;
    // Short enough to notice `stop`.
    const absl::Duration nap = std::min(then - now, absl::Milliseconds(200));
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(nap));
  }
}

void Load::Send(absl::Duration planned) {
  const auto sample = static_cast<size_t>(next_sample_++) % samples_.size();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++under_way_;
  }
  const auto started = client_.Start(
      samples_[sample].request, plan_.call,
      [this, sample, planned](Answer answer) { Receive(sample, planned, std::move(answer)); });
  if (!started.ok()) Receive(sample, planned, started.status());
}

void Load::Receive(size_t sample, absl::Duration planned, Answer answer) {
  const absl::Duration now = Now();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (answer.ok()) {
      recent_.Add(now - planned);
    } else {
      ++recent_failed_;
    }
    if (answer.ok() && Measured(now)) {
      ++result_.answered;
      result_.tokens += samples_[sample].tokens;
    }
    if (Measured(plan_.rate > 0 ? planned : now)) Record(sample, now - planned, answer);
  }
  if (plan_.rate == 0 && !ending_ && now < end_) Send(now);
  std::lock_guard<std::mutex> lock(mutex_);
  if (--under_way_ == 0) ended_.notify_all();
}

void Load::Record(size_t sample, absl::Duration latency, const Answer& answer) {
  if (!answer.ok()) {
    result_.failed.Add(latency);
    const std::string code = absl::StatusCodeToString(answer.status().code());
    ++result_.errors[code];
    result_.error_texts.emplace(code, std::string(answer.status().message()));
    return;
  }
  result_.good.Add(latency);
  ++result_.batch_requests[answer->timing.batch_requests];
  result_.batch_tokens += answer->timing.batch_tokens;
  result_.server_queue += answer->timing.queue;
  result_.server_compute += answer->timing.compute;
  for (const std::string& warning : answer->warnings) {
    if (result_.warnings.size() < kMaxLoadWarnings) result_.warnings.insert(warning);
  }
  if (!IsRight(sample, *answer)) ++result_.wrong;
}

bool Load::IsRight(size_t sample, const client::AttentionResponse& result) {
  if (result.output.shape() != samples_[sample].output_shape) return false;
  if (!plan_.check) return true;
  std::optional<client::Tensor>& first = first_outputs_[sample];
  if (!first.has_value()) first = result.output;
  return SameBits(*first, result.output);
}

void Load::ReportProgress() {
  const absl::Duration now = Now();
  LoadProgress progress;
  progress.elapsed = now;
  progress.warming_up = last_progress_ < plan_.warmup;
  progress.since_last = now - last_progress_;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    progress.good = recent_.count();
    progress.failed = recent_failed_;
    progress.p50 = recent_.Percentile(0.5);
    progress.p99 = recent_.Percentile(0.99);
    progress.under_way = under_way_;
    recent_ = Histogram();
    recent_failed_ = 0;
  }
  last_progress_ = now;
  (*progress_)(progress);
}

}  // namespace attend::cli
