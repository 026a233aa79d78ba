// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/span_exporter.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/engine/failures.h"
#include "server/telemetry/log.h"
#include "server/telemetry/span.h"

namespace attend {
namespace {

// One failure and one recovery.
constexpr int64_t kExportLinesPerSecond = 2;

}  // namespace

SpanExporter::SpanExporter(std::unique_ptr<SpanSender> sender, const Clock& clock,
                           const SpanExportOptions& options)
    : options_(options),
      clock_(clock),
      sender_(std::move(sender)),
      log_limit_(kExportLinesPerSecond, clock),
      queue_(options),
      thread_([this] { Run(); }) {}

SpanExporter::~SpanExporter() {
  {
    MutexLock lock(mutex_);
    end_by_ = clock_.Now() + options_.end_timeout;
    changed_.NotifyAll();
    while (!has_ended_) {
      const absl::Duration left = end_by_ - clock_.Now();
      if (left <= absl::ZeroDuration()) break;
      ended_.WaitFor(mutex_, absl::ToChronoNanoseconds(left));
    }
  }
  sender_->Cancel();
  thread_.join();
}

void SpanExporter::OnEnd(const RequestEnd& end) {
  if (!IsSampled(end.traceparent)) return;
  const absl::Status added = CatchFailures([&] {
    std::string span = EncodeSpan(end, NewSpanId(), absl::Now());
    MutexLock lock(mutex_);
    if (queue_.Add(std::move(span), clock_.Now())) changed_.NotifyOne();
  });
  if (added.ok()) return;
  MutexLock lock(mutex_);
  queue_.CountDropped();
}

SpanStats SpanExporter::stats() const {
  MutexLock lock(mutex_);
  return queue_.stats();
}

void SpanExporter::Run() {
  mutex_.Lock();
  while (end_by_ == absl::InfiniteFuture()) {
    const absl::Time due = queue_.due();
    const absl::Duration wait = due - clock_.Now();
    if (wait <= absl::ZeroDuration()) {
      SendBatch(options_.send_timeout);
    } else if (due == absl::InfiniteFuture()) {
      changed_.Wait(mutex_);
    } else {
      changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(wait));
    }
  }
  bool sent = true;
  while (sent && !queue_.empty()) {
    const absl::Duration left = end_by_ - clock_.Now();
    sent = left > absl::ZeroDuration() && SendBatch(std::min(left, options_.send_timeout));
  }
  const int64_t lost = queue_.GiveUp();
  has_ended_ = true;
  ended_.NotifyAll();
  mutex_.Unlock();
  if (lost == 0) return;
  CatchFailures([&] {
    Log(LogLevel::kWarning, "spans are lost, because the server ends",
        {{"spans", absl::StrCat(lost)}});
  }).IgnoreError();
}

bool SpanExporter::SendBatch(absl::Duration timeout) {
  SpanQueue::Batch batch;
  SpanSender::Outcome outcome;
  absl::Status failed = CatchFailures(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { batch = queue_.Take(clock_.Now()); });
  mutex_.Unlock();
  if (failed.ok()) {
    failed =
        CatchFailures([&] { outcome = sender_->Send(EncodeExportRequest(batch.spans), timeout); });
  }
  if (!failed.ok()) outcome.status = failed;
  CatchFailures([&] { LogChange(outcome); }).IgnoreError();
  mutex_.Lock();
  queue_.OnSent(std::move(batch), outcome.status.code(), outcome.rejected, clock_.Now());
  return outcome.status.ok();
}

void SpanExporter::LogChange(const SpanSender::Outcome& outcome) {
  const bool fails = !outcome.status.ok() || outcome.rejected > 0;
  if (fails == failing_ || !log_limit_.Admit()) return;
  failing_ = fails;
  if (!fails) {
    Log(LogLevel::kInfo, "spans are exported again");
  } else if (outcome.status.ok()) {
    Log(LogLevel::kWarning, "the collector rejects spans",
        {{"spans", absl::StrCat(outcome.rejected)}, {"reason", outcome.message}});
  } else {
    Log(LogLevel::kWarning, "cannot export spans",
        {{"code", absl::StatusCodeToString(outcome.status.code())},
         {"reason", std::string(outcome.status.message())}});
  }
}

}  // namespace attend
