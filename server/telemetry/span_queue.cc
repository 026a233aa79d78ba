// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/span_queue.h"

#include <algorithm>
#include <utility>

namespace attend {
namespace {

// Codes after which the same spans may be taken: OTLP's specification, section OTLP/gRPC, Failures.
// It retries RESOURCE_EXHAUSTED only where the collector says when; here the backoff and
// `retry_for` bound what a retry costs.
bool MayPass(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool SpanQueue::Add(std::string span, absl::Time now) {
  if (queued_.size() >= options_.max_queued) {
    CountDropped();
    return false;
  }
  queued_.push_back({std::move(span), now});
  return queued_.size() == 1 || queued_.size() == options_.max_batch;
}

absl::Time SpanQueue::due() const {
  if (empty()) return absl::InfiniteFuture();
  if (!failed_.spans.empty() || queued_.size() >= options_.max_batch) return not_before_;
  return std::max(queued_.front().added + options_.max_wait, not_before_);
}

SpanQueue::Batch SpanQueue::Take(absl::Time now) {
  if (!failed_.spans.empty()) return std::exchange(failed_, Batch());
  Batch batch = {{}, now + options_.retry_for};
  const size_t size = std::min(queued_.size(), options_.max_batch);
  batch.spans.reserve(size);
  for (size_t i = 0; i < size; ++i) {
    batch.spans.push_back(std::move(queued_.front().span));
    queued_.pop_front();
  }
  return batch;
}

void SpanQueue::OnSent(Batch batch, absl::StatusCode code, int64_t rejected, absl::Time now) {
  const auto size = static_cast<int64_t>(batch.spans.size());
  const bool may_pass = MayPass(code);
  backoff_ = may_pass ? std::clamp(2 * backoff_, options_.min_backoff, options_.max_backoff)
                      : absl::ZeroDuration();
  not_before_ = may_pass ? now + backoff_ : absl::InfinitePast();
  if (code == absl::StatusCode::kOk) {
    rejected = std::clamp(rejected, int64_t{0}, size);
    stats_.exported += size - rejected;
    stats_.failed += rejected;
  } else if (may_pass && not_before_ <= batch.give_up) {
    failed_ = std::move(batch);
  } else {
    stats_.failed += size;
  }
}

int64_t SpanQueue::GiveUp() {
  const auto size = static_cast<int64_t>(failed_.spans.size() + queued_.size());
  failed_ = Batch();
  queued_.clear();
  stats_.failed += size;
  return size;
}

}  // namespace attend
