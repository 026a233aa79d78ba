// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/span_exporter.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/telemetry/request_report.h"
#include "server/telemetry/span.h"
#include "tests/support/fake_clock.h"

namespace attend {
namespace {

using testing::SizeIs;

constexpr char kTrace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0";

// How long a call hangs before the test fails.
constexpr std::chrono::seconds kPatience(60);

// What becomes of the messages of a sender that a test made; outlives it.
class Collector {
 public:
  absl::Status Take(const std::string& request, absl::Duration timeout) {
    MutexLock lock(mutex_);
    requests_.push_back(request);
    timeouts_.push_back(timeout);
    changed_.NotifyAll();
    const auto patience = std::chrono::steady_clock::now() + kPatience;
    while (hangs_ && !cancelled_) {
      changed_.WaitFor(mutex_, kPatience);
      if (std::chrono::steady_clock::now() >= patience) {
        ADD_FAILURE() << "nobody cancels a call that hangs";
        break;
      }
    }
    return cancelled_ ? absl::CancelledError() : answer_;
  }

  void Cancel() {
    MutexLock lock(mutex_);
    cancelled_ = true;
    changed_.NotifyAll();
  }

  void SetHangs(bool hangs) {
    MutexLock lock(mutex_);
    hangs_ = hangs;
    changed_.NotifyAll();
  }
  void SetAnswer(const absl::Status& answer) {
    MutexLock lock(mutex_);
    answer_ = answer;
  }

  void WaitForRequests(size_t count) {
    MutexLock lock(mutex_);
    while (requests_.size() < count) changed_.Wait(mutex_);
  }

  std::vector<std::string> requests() {
    MutexLock lock(mutex_);
    return requests_;
  }
  std::vector<absl::Duration> timeouts() {
    MutexLock lock(mutex_);
    return timeouts_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  absl::Status answer_ ABSL_GUARDED_BY(mutex_);
  bool hangs_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Duration> timeouts_ ABSL_GUARDED_BY(mutex_);
};

class FakeSender final : public SpanSender {
 public:
  explicit FakeSender(Collector& collector) : collector_(collector) {}
  Outcome Send(const std::string& request, absl::Duration timeout) override {
    return {collector_.Take(request, timeout), 0, ""};
  }
  void Cancel() override { collector_.Cancel(); }

 private:
  Collector& collector_;
};

class SpanExporterTest : public testing::Test {
 protected:
  void Start(const SpanExportOptions& options) {
    exporter_ =
        std::make_unique<SpanExporter>(std::make_unique<FakeSender>(collector_), clock_, options);
  }

  void End(absl::string_view request_id, bool sampled = true) {
    const std::string traceparent = absl::StrCat(kTrace, sampled ? 1 : 0);
    exporter_->OnEnd({.method = "GetLayer",
                      .request_id = request_id,
                      .traceparent = traceparent,
                      .details = details_});
  }

  FakeClock clock_;
  RequestDetails details_;
  Collector collector_;
  std::unique_ptr<SpanExporter> exporter_;
};

TEST_F(SpanExporterTest, SendsSpansOfSampledRequestsInOneBatch) {
  Start({.max_batch = 2, .max_wait = absl::Hours(1)});
  End("one");
  End("not-sampled", /*sampled=*/false);
  End("two");
  collector_.WaitForRequests(1);
  EXPECT_EQ(collector_.timeouts().at(0), absl::Seconds(10));
  exporter_.reset();
  ASSERT_THAT(collector_.requests(), SizeIs(1));
  const std::string request = collector_.requests().at(0);
  EXPECT_TRUE(absl::StrContains(request, "one") && absl::StrContains(request, "two"));
  EXPECT_FALSE(absl::StrContains(request, "not-sampled"));
}

TEST_F(SpanExporterTest, TakesRequestsWhileTheCollectorHangsAndDropsWhatDoesNotFit) {
  collector_.SetHangs(true);
  Start({.max_queued = 2, .max_batch = 1, .max_wait = absl::Hours(1)});
  End("sent");
  collector_.WaitForRequests(1);
  for (int i = 0; i < 10; ++i) End("more");
  EXPECT_EQ(exporter_->stats().dropped, 8);
  collector_.SetHangs(false);
  collector_.WaitForRequests(3);
}

TEST_F(SpanExporterTest, TriesABatchAgainThatTheCollectorDidNotTake) {
  collector_.SetAnswer(absl::UnavailableError("down"));
  Start({.max_batch = 1,
         .max_wait = absl::Hours(1),
         .min_backoff = absl::ZeroDuration(),
         .max_backoff = absl::ZeroDuration()});
  End("again");
  collector_.WaitForRequests(3);
  collector_.SetAnswer(absl::OkStatus());
  exporter_.reset();
  for (const std::string& request : collector_.requests()) {
    EXPECT_EQ(request, collector_.requests().front());
  }
}

TEST_F(SpanExporterTest, SendsAtTheEndWhatIsQueued) {
  Start({.max_batch = 2, .max_wait = absl::Hours(1)});
  SetSpanExporter(exporter_.get());
  collector_.SetHangs(true);
  for (int i = 0; i < 5; ++i) {
    ReportRequestEnd({.traceparent = absl::StrCat(kTrace, 1), .details = details_});
  }
  EXPECT_EQ(GetSpanStats().exported, 0);
  SetSpanExporter(nullptr);
  collector_.SetHangs(false);
  exporter_.reset();
  ASSERT_THAT(collector_.requests(), SizeIs(3));
  EXPECT_EQ(collector_.timeouts().back(), absl::Seconds(2)) << "what is left of the time to end";
}

TEST_F(SpanExporterTest, TriesNoSpanTwiceAtTheEnd) {
  Start({.max_wait = absl::Hours(1)});
  End("lost");
  collector_.SetAnswer(absl::UnavailableError("down"));
  exporter_.reset();
  EXPECT_THAT(collector_.requests(), SizeIs(1));
}

// A collector that hangs would otherwise hold up the end for as long as it likes.
TEST_F(SpanExporterTest, EndsACallThatTakesLongerThanTheEndMay) {
  collector_.SetHangs(true);
  Start({.max_batch = 1, .max_wait = absl::Hours(1), .end_timeout = absl::ZeroDuration()});
  End("hangs");
  collector_.WaitForRequests(1);
  End("waits");
  exporter_.reset();
  EXPECT_THAT(collector_.requests(), SizeIs(1));
}

TEST_F(SpanExporterTest, GivesTheEndTwoSecondsByDefault) {
  EXPECT_EQ(SpanExportOptions().end_timeout, absl::Seconds(2));
}

TEST(RequestReportTest, ExportsNothingWithoutAnExporter) {
  const RequestDetails details;
  ReportRequestEnd({.traceparent = absl::StrCat(kTrace, 1), .details = details});
  EXPECT_EQ(GetSpanStats().exported + GetSpanStats().dropped + GetSpanStats().failed, 0);
}

}  // namespace
}  // namespace attend
