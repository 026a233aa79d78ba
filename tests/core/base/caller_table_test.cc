// SPDX-License-Identifier: Apache-2.0
#include "core/base/caller_table.h"

#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(CallerTable, GivesEqualNamesOneIdAndOthersAnother) {
  CallerTable table;
  const CallerHandle first = table.Enter("a");
  const CallerHandle second = table.Enter("b");
  const CallerHandle again = table.Enter("a");
  EXPECT_NE(first.id(), kSharedCaller);
  EXPECT_NE(second.id(), kSharedCaller);
  EXPECT_NE(first.id(), second.id());
  EXPECT_EQ(first.id(), again.id());
}

TEST(CallerTable, FreesAnIdWithItsLastHandle) {
  CallerTable table(1);
  CallerHandle first = table.Enter("a");
  {
    const CallerHandle again = table.Enter("a");
    first = CallerHandle();
    EXPECT_EQ(table.Enter("b").id(), kSharedCaller);
  }
  EXPECT_EQ(table.Enter("b").id(), 1u);
  EXPECT_EQ(table.Enter("a").id(), 1u);
}

TEST(CallerTable, KeepsTheIdOfAnIdleCallerUntilItIsNeeded) {
  CallerTable table(2);
  const CallerId first = table.Enter("a").id();
  const CallerId second = table.Enter("b").id();
  EXPECT_NE(first, second);
  EXPECT_EQ(table.Enter("a").id(), first);  // "b" has been idle for longer now
  EXPECT_EQ(table.Enter("c").id(), second);
  EXPECT_EQ(table.Enter("a").id(), first);
}

TEST(CallerTable, LetsAllShareOneIdThatDoNotFit) {
  CallerTable table;
  std::vector<CallerHandle> handles;
  std::set<CallerId> ids;
  for (CallerId i = 0; i < kMaxCallers; ++i) {
    handles.push_back(table.Enter(absl::StrCat(i)));
    EXPECT_GT(handles.back().id(), kSharedCaller);
    EXPECT_LE(handles.back().id(), kMaxCallers);
    ids.insert(handles.back().id());
  }
  EXPECT_EQ(ids.size(), kMaxCallers);
  EXPECT_EQ(table.Enter("x").id(), kSharedCaller);
  EXPECT_EQ(table.Enter("y").id(), kSharedCaller);
  EXPECT_EQ(table.Enter("7").id(), handles[7].id());
}

TEST(CallerTable, MovesTheHandle) {
  CallerTable table(1);
  CallerHandle first = table.Enter("a");
  CallerHandle second = std::move(first);
  EXPECT_EQ(second.id(), 1u);
  EXPECT_EQ(first.id(), kSharedCaller);
  second = table.Enter("a");
  EXPECT_EQ(table.Enter("a").id(), 1u);
}

TEST(CallerTable, IsOutlivedByItsHandles) {
  std::optional<CallerTable> table(std::in_place);
  const CallerHandle handle = table->Enter("a");
  table.reset();
  EXPECT_EQ(handle.id(), 1u);
}

TEST(CallerTable, LosesNoIdAmongManyThreads) {
  CallerTable table(2);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&table, t] {
      for (int i = 0; i < 5000; ++i) table.Enter(absl::StrCat((t + i) % 3));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const CallerHandle first = table.Enter("a");
  const CallerHandle second = table.Enter("b");
  EXPECT_EQ(first.id() + second.id(), 3u);
}

TEST(CallerName, IsTheAddressWithoutItsPort) {
  EXPECT_EQ(CallerName("ipv4:1.2.3.4:567"), "ipv4:1.2.3.4");
  EXPECT_EQ(CallerName("ipv6:[2001:db8:1:2:3:4:5:6]:7"), "ipv6:2001:db8:1:2::/64");
  EXPECT_EQ(CallerName("ipv6:%5B2001:db8:1:2::9%5D:7"), "ipv6:2001:db8:1:2::/64");
  EXPECT_EQ(CallerName("ipv6:[fe80::1%25eth0]:7"), "ipv6:fe80::/64");
  EXPECT_EQ(CallerName("ipv6:[::ffff:1.2.3.4]:7"), "ipv6:[::ffff:1.2.3.4]");
  EXPECT_EQ(CallerName("ipv6:[::1]:5"), "ipv6:::/64");
  EXPECT_EQ(CallerName("ipv6:[x]:5"), "ipv6:[x]");
  EXPECT_EQ(CallerName("unix:/run/attend.sock"), "unix");
  EXPECT_EQ(CallerName("unix:"), "unix");
  EXPECT_EQ(CallerName("ipv4:1.2.3.4"), "ipv4:1.2.3.4");
  EXPECT_EQ(CallerName(""), "");
}

}  // namespace
}  // namespace attend
