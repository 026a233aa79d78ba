// SPDX-License-Identifier: Apache-2.0
#include "server/calls/deadline_timer.h"

#include <future>
#include <memory>

#include "gtest/gtest.h"

namespace attend {
namespace {

class Object final : public Expirable {
 public:
  void OnDeadline() override { told_.set_value(); }
  void WaitUntilTold() { told_.get_future().wait(); }

 private:
  std::promise<void> told_;
};

absl::Time Now() {
  return Clock::Steady().Now();
}

TEST(DeadlineTimer, TellsWhatHasExpired) {
  DeadlineTimer timer(Clock::Steady());
  const auto object = std::make_shared<Object>();
  const DeadlineTimer::Entry entry = timer.Add(Now() - absl::Seconds(1), object);
  object->WaitUntilTold();
  timer.Remove(entry);  // does nothing
}

TEST(DeadlineTimer, WakesForADeadlineBeforeTheOneItWaitsFor) {
  DeadlineTimer timer(Clock::Steady());
  const auto late = std::make_shared<Object>();
  const auto soon = std::make_shared<Object>();
  timer.Add(absl::InfiniteFuture(), late);
  timer.Add(Now() + absl::Hours(1), late);
  timer.Add(Now() + absl::Milliseconds(5), soon);
  soon->WaitUntilTold();
}

// An object that is told twice throws, because its promise has a value already.
TEST(DeadlineTimer, TellsEachObjectOnceAndNeitherRemovedNorDestroyedOnes) {
  DeadlineTimer timer(Clock::Steady());
  const auto removed = std::make_shared<Object>();
  auto destroyed = std::make_shared<Object>();
  const absl::Time deadline = Now() + absl::Milliseconds(20);
  timer.Remove(timer.Add(deadline, removed));
  timer.Add(deadline, destroyed);
  destroyed.reset();
  const auto last = std::make_shared<Object>();
  timer.Add(deadline, last);
  last->WaitUntilTold();
  // Told by this thread, because the timer has not.
  removed->OnDeadline();
}

TEST(DeadlineTimer, KeepsNoObjectAlive) {
  DeadlineTimer timer(Clock::Steady());
  auto object = std::make_shared<Object>();
  const std::weak_ptr<Object> watched = object;
  timer.Add(absl::InfiniteFuture(), object);
  object.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(DeadlineTimer, EndsWithEntriesLeft) {
  const auto object = std::make_shared<Object>();
  {
    DeadlineTimer timer(Clock::Steady());
    timer.Add(Now() + absl::Hours(1), object);
  }
  object->OnDeadline();
}

}  // namespace
}  // namespace attend
