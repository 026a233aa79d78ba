// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_LOAD_H_
#define ATTEND_CLIENT_CLI_LOAD_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "attend/client.h"
#include "client/cli/histogram.h"

namespace attend::cli {

// One of the requests that the load goes round.
struct Sample {
  client::PreparedRequest request;
  client::Shape output_shape;
  int64_t tokens = 0;  // query rows
};

struct LoadPlan {
  // Open loop: requests a second, sent when planned whatever became of the
  // others, their latency counted from the planned time. 0: closed loop, with
  // this many requests always under way.
  double rate = 0;
  bool poisson = false;  // open loop: random gaps of the same mean
  int64_t concurrency = 1;
  // Open loop: a request planned while so many are under way is not sent.
  int64_t max_under_way = 10000;
  absl::Duration warmup;
  absl::Duration duration;
  client::CallOptions call;
  bool check = false;  // the same request must give the same bits
  uint64_t seed = 1;
};

// A server that warns in new words each time must not use up memory.
inline constexpr size_t kMaxLoadWarnings = 16;

struct LoadResult {
  absl::Duration measured;

  // Good answers that came within the measured time, and their query rows: the
  // throughput.
  int64_t answered = 0;
  int64_t tokens = 0;

  // The rest is of the requests that belong to the measured time: in an open
  // loop those planned in it, however late their answers, in a closed loop those
  // answered in it.
  Histogram good;                                  // latencies of good answers
  Histogram failed;                                // and of the others
  std::map<std::string, int64_t> errors;           // by code
  std::map<std::string, std::string> error_texts;  // the first of each code
  std::set<std::string> warnings;                  // of good answers; no more than kMaxLoadWarnings
  std::map<int64_t, int64_t> batch_requests;       // good answers by the size of their batch
  int64_t batch_tokens = 0;                        // sums over good answers
  absl::Duration server_queue;
  absl::Duration server_compute;
  int64_t unsent = 0;
  int64_t wrong = 0;     // of another shape, or bits that changed
  double cpu_share = 0;  // CPU time of this process / measured time
};

// What to tell while it runs.
struct LoadProgress {
  absl::Duration elapsed;
  bool warming_up;
  int64_t good, failed;  // since the last time
  absl::Duration since_last;
  absl::Duration p50, p99;  // since the last time
  int64_t under_way;
};

// Drives load over a client. Everything but sending happens on the client's
// thread, answer by answer, so the generator takes little of the CPU that the
// server may need.
class Load {
 public:
  // `client` and `samples` must outlive the load; no sample may be empty.
  Load(client::Client& client, const std::vector<Sample>& samples, const LoadPlan& plan);

  // Blocks for warm-up, duration and the last answers. Calls `progress` about
  // once a second. Ends early when `stop` becomes true. Once only.
  LoadResult Run(const std::function<void(const LoadProgress&)>& progress,
                 const std::atomic<bool>& stop);

 private:
  using Answer = absl::StatusOr<client::AttentionResponse>;

  void RunOpen();
  void RunClosed();
  void Send(absl::Duration planned);
  void Receive(size_t sample, absl::Duration planned, Answer answer);
  // These two need mutex_.
  void Record(size_t sample, absl::Duration latency, const Answer& answer);
  bool IsRight(size_t sample, const client::AttentionResponse& result);
  // Sleeps until then, reporting progress in between; false: stopped.
  bool SleepUntil(absl::Duration then);
  void ReportProgress();

  // Since the start of the load, on a clock that is never set.
  absl::Duration Now() const;
  bool Measured(absl::Duration time) const;

  client::Client& client_;
  const std::vector<Sample>& samples_;
  const LoadPlan plan_;
  const std::function<void(const LoadProgress&)>* progress_ = nullptr;
  const std::atomic<bool>* stop_ = nullptr;
  const absl::Duration end_;
  int64_t start_ns_ = 0;
  absl::Duration last_progress_;

  std::atomic<int64_t> next_sample_ = 0;
  std::atomic<bool> ending_ = false;

  std::mutex mutex_;
  std::condition_variable ended_;
  // Guarded by mutex_.
  int64_t under_way_ = 0;
  LoadResult result_;
  Histogram recent_;
  int64_t recent_failed_ = 0;
  std::vector<std::optional<client::Tensor>> first_outputs_;
};

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_LOAD_H_
