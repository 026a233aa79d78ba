// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_HISTOGRAM_H_
#define ATTEND_CLIENT_CLI_HISTOGRAM_H_

#include <array>
#include <cstdint>

#include "absl/time/time.h"

namespace attend::cli {

// Latencies in buckets that grow with the value: each power of two nanoseconds
// is split into 128, so a percentile is off by less than 0.8 % of itself, in a
// fixed 40 KB whatever the number of samples. Count, mean, min and max are exact.
// Single-threaded.
class Histogram {
 public:
  void Add(absl::Duration latency);

  int64_t count() const { return count_; }
  absl::Duration mean() const;
  absl::Duration max() const { return absl::Nanoseconds(max_ns_); }

  // The smallest value that at least this share of the samples does not exceed;
  // `share` in [0, 1]. Zero without samples.
  absl::Duration Percentile(double share) const;

 private:
  static constexpr int kSubBits = 7;
  static constexpr int kMaxBits = 44;  // 2^44 ns is 4.9 hours; longer counts as that
  static size_t BucketOf(int64_t ns);
  static int64_t UpperEnd(size_t bucket);

  std::array<int64_t, (kMaxBits - kSubBits + 1) << kSubBits> buckets_ = {};
  int64_t count_ = 0;
  int64_t sum_ns_ = 0;
  int64_t max_ns_ = 0;
};

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_HISTOGRAM_H_
