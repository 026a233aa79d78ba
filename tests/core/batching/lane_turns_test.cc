// SPDX-License-Identifier: Apache-2.0
#include "core/batching/lane_turns.h"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/batching/times.h"

namespace attend {
namespace {

using ::testing::ElementsAre;

constexpr int kNone = -1;

// Turns and the clock that they are told. The slice is 20 ms, and long work earns a third of the
// time that short work takes while it waits.
class Turns {
 public:
  explicit Turns(const TurnOptions& options = {}) : turns_(options) { turns_.Advance(now_); }

  Turns& Pass(absl::Duration duration) {
    now_ += duration;
    turns_.Advance(now_);
    return *this;
  }
  Turns& Begin(int lane) {
    turns_.Begin(lane);
    return *this;
  }
  Turns& Rotate() {
    turns_.Rotate();
    return *this;
  }
  absl::Duration End(int lane) { return turns_.End(lane); }

  // Runs a short batch from its beginning to its end.
  Turns& RunShort(absl::Duration duration) {
    Begin(kShortLane).Pass(duration).End(kShortLane);
    return *this;
  }

  int turn() const { return turns_.turn(); }
  bool MayBeginShort() const { return turns_.MayBeginShort(); }
  int CountLong() const { return turns_.CountLong(); }
  bool busy(int lane) const { return turns_.busy(lane); }
  absl::Duration ran(int lane) const { return turns_.ran(lane); }
  // From now on; InfiniteDuration: never.
  absl::Duration UntilChange() const { return turns_.NextChange() - now_; }

 private:
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  LaneTurns turns_;
};

TEST(LaneTurns, GiveNobodyTheTurnWhileNothingRuns) {
  Turns turns;
  EXPECT_EQ(turns.turn(), kNone);
  EXPECT_EQ(turns.CountLong(), 0);
  EXPECT_TRUE(turns.MayBeginShort());
  EXPECT_EQ(turns.UntilChange(), absl::InfiniteDuration());
  turns.Pass(absl::Hours(1)).Rotate();
  EXPECT_EQ(turns.turn(), kNone);
  turns.RunShort(Ms(1));
  EXPECT_EQ(turns.turn(), kNone);
}

TEST(LaneTurns, FollowTheBeginningsAndEndsOfBatches) {
  const struct {
    std::string name;
    std::vector<int> begin;  // in this order
    std::vector<int> end;
    int turn;
  } kCases[] = {
      {"AShortBatchGetsTheTurn", {0}, {}, 0},
      {"ALongBatchGetsTheTurn", {2}, {}, 2},
      {"ALongBatchIsSuspendedForAShortOne", {2, 0}, {}, 0},
      {"AShortBatchIsNotSuspendedForALongOne", {0, 2}, {}, 0},
      {"TheSuspendedBatchGoesOn", {2, 0}, {0}, 2},
      {"ALongBatchThatBeginsWaitsForItsTurn", {2, 1}, {}, 2},
      {"ALongBatchThatBeganBesideAShortOneGetsTheTurn", {0, 3}, {0}, 3},
      {"TheSuspendedOneOfSeveralGoesOn", {2, 1, 3, 0}, {0}, 2},
      {"TheNextLongBatchFollowsOneThatEnds", {1, 2, 3}, {1}, 2},
      {"TheFirstFollowsTheLast", {4, 1, 3}, {4}, 1},
      {"FreeLanesArePassedOver", {1, 4}, {1}, 4},
      {"ASuspendedBatchThatIsStoppedChangesNothing", {1, 0}, {1}, 0},
      {"AWaitingBatchThatIsStoppedChangesNothing", {1, 2}, {2}, 1},
      {"AfterAStoppedBatchAnotherOneGoesOn", {1, 2, 0}, {1, 0}, 2},
      {"NothingFollowsTheLastBatch", {1, 0}, {0, 1}, kNone},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(test.name);
    Turns turns;
    for (const int lane : test.begin) turns.Begin(lane);
    for (const int lane : test.end) turns.End(lane);
    EXPECT_EQ(turns.turn(), test.turn);
  }
}

TEST(LaneTurns, BeginNoShortBatchBesideAnother) {
  Turns turns;
  turns.Begin(kShortLane);
  EXPECT_FALSE(turns.MayBeginShort());
  EXPECT_TRUE(turns.busy(kShortLane));
  turns.End(kShortLane);
  EXPECT_TRUE(turns.MayBeginShort());
  EXPECT_FALSE(turns.busy(kShortLane));
}

TEST(LaneTurns, CountTheTimeOfEachBatchWhileItHasTheTurn) {
  Turns turns;
  turns.Begin(1).Pass(Ms(3)).Begin(2).Pass(Ms(4)).Begin(kShortLane).Pass(Ms(5));
  EXPECT_EQ(turns.ran(1), Ms(7));
  EXPECT_EQ(turns.ran(2), Ms(0));
  EXPECT_EQ(turns.ran(kShortLane), Ms(5));
  EXPECT_EQ(turns.CountLong(), 2);
  EXPECT_EQ(turns.End(kShortLane), Ms(5));
  turns.Pass(Ms(1));
  EXPECT_EQ(turns.End(1), Ms(8));
  turns.Pass(Ms(2));
  EXPECT_EQ(turns.End(2), Ms(2));
  turns.Begin(2);
  EXPECT_EQ(turns.ran(2), Ms(0)) << "another batch begins at zero";
}

TEST(LaneTurns, CountNothingWhereTheClockGoesBack) {
  Turns turns;
  turns.Begin(1).Begin(2).Pass(Ms(15)).Pass(-absl::Hours(1));
  EXPECT_EQ(turns.ran(1), Ms(15));
  EXPECT_EQ(turns.UntilChange(), Ms(5));
  turns.Pass(Ms(1));
  EXPECT_EQ(turns.ran(1), Ms(16)) << "it counts on from the clock's new time";
  EXPECT_EQ(turns.UntilChange(), Ms(4));
  turns.RunShort(-Ms(100)).RunShort(Ms(12));
  EXPECT_TRUE(turns.MayBeginShort()) << "long work has earned 4 ms, not less and not more";
  turns.RunShort(Ms(3));
  EXPECT_FALSE(turns.MayBeginShort());
}

// Rule 2.

TEST(LaneTurns, HoldShortBatchesBackOnceLongWorkHasEarnedAFewTasks) {
  Turns turns;
  turns.Begin(1).RunShort(Ms(6)).RunShort(Ms(6));
  EXPECT_TRUE(turns.MayBeginShort()) << "4 ms are earned";
  EXPECT_EQ(turns.UntilChange(), absl::InfiniteDuration());
  turns.RunShort(Ms(6));
  EXPECT_FALSE(turns.MayBeginShort()) << "6 ms are earned";
  EXPECT_EQ(turns.turn(), 1);
  EXPECT_EQ(turns.UntilChange(), Ms(6));
  turns.Pass(Ms(5));
  EXPECT_FALSE(turns.MayBeginShort());
  EXPECT_EQ(turns.UntilChange(), Ms(1));
  turns.Pass(Ms(1));
  EXPECT_TRUE(turns.MayBeginShort());
  EXPECT_EQ(turns.UntilChange(), absl::InfiniteDuration());
}

TEST(LaneTurns, DoNotInterruptAShortBatchThatOwesTime) {
  Turns turns;
  turns.Begin(1).Begin(kShortLane).Pass(Ms(300)).Rotate();
  EXPECT_EQ(turns.turn(), kShortLane);
  turns.End(kShortLane);
  EXPECT_FALSE(turns.MayBeginShort());
  EXPECT_EQ(turns.UntilChange(), Ms(100));
}

TEST(LaneTurns, PayLongWorkBetweenShortBatchesToo) {
  Turns turns;
  turns.Begin(1).RunShort(Ms(12));  // earns 4 ms
  turns.Pass(Ms(3));                // uses 3 of them
  turns.RunShort(Ms(9));
  EXPECT_TRUE(turns.MayBeginShort()) << "4 ms are left";
  turns.Pass(Ms(50));  // more than was earned: long work never owes
  turns.RunShort(Ms(12));
  EXPECT_TRUE(turns.MayBeginShort());
  turns.RunShort(Ms(3));
  EXPECT_FALSE(turns.MayBeginShort());
}

TEST(LaneTurns, LetLongWorkEarnOnlyWhileItWaits) {
  Turns turns;
  turns.RunShort(Ms(1000));
  turns.Begin(1);
  turns.RunShort(Ms(12));
  EXPECT_TRUE(turns.MayBeginShort()) << "it earned before it came";
  turns.RunShort(Ms(3));
  EXPECT_FALSE(turns.MayBeginShort());
}

TEST(LaneTurns, LetLongWorkEarnFromItsBeginningInAShortBatch) {
  Turns turns;
  turns.Begin(kShortLane).Pass(Ms(300)).Begin(1).Pass(Ms(18)).End(kShortLane);
  EXPECT_FALSE(turns.MayBeginShort());
  EXPECT_EQ(turns.UntilChange(), Ms(6));
}

TEST(LaneTurns, ForgetWhatLongWorkEarnedOnceItHasEnded) {
  Turns turns;
  turns.Begin(1).RunShort(Ms(300));
  EXPECT_FALSE(turns.MayBeginShort());
  turns.End(1);
  EXPECT_TRUE(turns.MayBeginShort());
  turns.Begin(2).RunShort(Ms(1));
  EXPECT_TRUE(turns.MayBeginShort());
}

TEST(LaneTurns, GoOnPayingTheOtherLongBatchesWhenOneEnds) {
  Turns turns;
  turns.Begin(1).Begin(2).RunShort(Ms(30)).Pass(Ms(7));
  turns.End(1);
  EXPECT_FALSE(turns.MayBeginShort());
  EXPECT_EQ(turns.turn(), 2);
  EXPECT_EQ(turns.UntilChange(), Ms(3));
  turns.Pass(Ms(3));
  EXPECT_TRUE(turns.MayBeginShort());
}

TEST(LaneTurns, GiveLongWorkNothingIfItsShareIsZero) {
  TurnOptions options;
  options.long_share = 0.0;
  Turns turns(options);
  turns.Begin(1);
  for (int i = 0; i < 1000; ++i) turns.RunShort(Ms(9));
  EXPECT_TRUE(turns.MayBeginShort());
  EXPECT_EQ(turns.ran(1), Ms(0));
}

// Short and long work wait all the time: what each of them gets of it.
TEST(LaneTurns, GiveLongWorkItsShareOfAContendedTime) {
  constexpr unsigned kSeed = 4711;
  const struct {
    double share;
    int long_lanes;
    double longest_short;  // milliseconds
  } kCases[] = {{0.25, 1, 10.0}, {0.25, 4, 10.0}, {0.25, 2, 0.3}, {0.1, 2, 10.0},
                {0.5, 1, 3.0},   {0.5, 3, 10.0},  {0.8, 4, 10.0}};
  for (const auto& test : kCases) {
    SCOPED_TRACE(testing::Message()
                 << "seed " << kSeed << ", share " << test.share << ", " << test.long_lanes
                 << " long lanes, short batches up to " << test.longest_short << " ms");
    std::mt19937 random(kSeed);
    std::uniform_real_distribution<double> short_time(0.01, test.longest_short);
    TurnOptions options;
    options.long_share = test.share;
    Turns turns(options);
    for (int lane = 1; lane <= test.long_lanes; ++lane) turns.Begin(lane);
    absl::Duration of_short, of_long;
    while (of_short + of_long < absl::Seconds(60)) {
      if (turns.MayBeginShort()) {
        const absl::Duration duration = Ms(short_time(random));
        turns.RunShort(duration);
        of_short += duration;
        continue;
      }
      ASSERT_LT(turns.UntilChange(), absl::InfiniteDuration());
      const absl::Duration duration = turns.UntilChange();
      turns.Pass(duration).Rotate();
      of_long += duration;
      if (random() % 8 != 0) continue;  // now and then a long batch ends and another begins
      const int lane = turns.turn();
      turns.End(lane);
      turns.Begin(lane);
    }
    EXPECT_NEAR(absl::FDivDuration(of_long, of_long + of_short), test.share, 0.02);
  }
}

// Rule 3.

TEST(LaneTurns, PassTheTurnOnWhenASliceIsOver) {
  Turns turns;
  turns.Begin(1).Begin(2).Begin(4);
  EXPECT_EQ(turns.UntilChange(), Ms(20));
  turns.Pass(Ms(19)).Rotate();
  EXPECT_EQ(turns.turn(), 1);
  EXPECT_EQ(turns.UntilChange(), Ms(1));
  std::vector<int> order;
  turns.Pass(Ms(1));
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(turns.UntilChange(), Ms(0));
    turns.Rotate();
    order.push_back(turns.turn());
    EXPECT_EQ(turns.UntilChange(), Ms(20));
    turns.Pass(Ms(20));
  }
  EXPECT_THAT(order, ElementsAre(2, 4, 1, 2, 4, 1));
  for (const int lane : {1, 2, 4}) {
    EXPECT_GE(turns.ran(lane), Ms(40));
    EXPECT_LE(turns.ran(lane), Ms(60));
  }
}

TEST(LaneTurns, LeaveTheTurnToASingleLongBatch) {
  Turns turns;
  turns.Begin(3).Pass(Ms(500)).Rotate();
  EXPECT_EQ(turns.turn(), 3);
  EXPECT_EQ(turns.UntilChange(), absl::InfiniteDuration());
  turns.Begin(1);
  EXPECT_EQ(turns.UntilChange(), Ms(0)) << "its slice is over as soon as another one waits";
  turns.Rotate();
  EXPECT_EQ(turns.turn(), 1);
}

TEST(LaneTurns, LetASuspendedBatchUseTheRestOfItsSlice) {
  Turns turns;
  turns.Begin(1).Begin(2).Pass(Ms(15)).RunShort(Ms(10));
  EXPECT_EQ(turns.turn(), 1);
  EXPECT_EQ(turns.UntilChange(), Ms(5));
  turns.Pass(Ms(5)).RunShort(Ms(1));
  EXPECT_EQ(turns.turn(), 2) << "a slice that is over is not begun again";
  EXPECT_EQ(turns.UntilChange(), Ms(20));
}

TEST(LaneTurns, GiveABatchThatFollowsAnotherOneAFullSlice) {
  Turns turns;
  turns.Begin(1).Begin(2).Pass(Ms(15));
  turns.End(1);
  turns.Begin(1);
  EXPECT_EQ(turns.turn(), 2);
  EXPECT_EQ(turns.UntilChange(), Ms(20));
  turns.Pass(Ms(20)).Rotate();
  EXPECT_EQ(turns.turn(), 1);
  EXPECT_EQ(turns.UntilChange(), Ms(20));
}

TEST(LaneTurns, GiveABatchAFullSliceThoughItsLaneHasUsedSome) {
  Turns turns;
  turns.Begin(1).Pass(Ms(15));
  turns.End(1);
  turns.Begin(1).Begin(2);
  EXPECT_EQ(turns.turn(), 1);
  EXPECT_EQ(turns.UntilChange(), Ms(20));
}

TEST(LaneTurns, ChangeAtWhateverComesFirst) {
  Turns turns;
  turns.Begin(1).Begin(2).Pass(Ms(15)).RunShort(Ms(30));
  EXPECT_EQ(turns.UntilChange(), Ms(5)) << "the slice ends before the 10 ms are paid";
  turns.Pass(Ms(5)).Rotate();
  EXPECT_EQ(turns.turn(), 2);
  EXPECT_EQ(turns.UntilChange(), Ms(5)) << "the time is paid before the slice ends";
  turns.Begin(kShortLane);
  EXPECT_EQ(turns.UntilChange(), absl::InfiniteDuration()) << "short work is not interrupted";
}

}  // namespace
}  // namespace attend
