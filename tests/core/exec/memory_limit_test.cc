// SPDX-License-Identifier: Apache-2.0
#include "core/exec/memory_limit.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

namespace attend {
namespace {

class CgroupMemoryLimitTest : public testing::Test {
 protected:
  CgroupMemoryLimitTest() {
    char path[] = "/tmp/attend-test-XXXXXX";
    root_ = mkdtemp(path);
  }
  ~CgroupMemoryLimitTest() override { std::filesystem::remove_all(root_); }

  void Limit(const std::string& group, const std::string& text) {
    std::filesystem::create_directories(root_ + group);
    std::ofstream(root_ + group + "/memory.max") << text;
  }

  std::string root_;
};

TEST_F(CgroupMemoryLimitTest, IsThatOfTheContainer) {
  Limit("", "1073741824\n");
  EXPECT_EQ(CgroupMemoryLimit("0::/\n", root_), 1073741824);
}

TEST_F(CgroupMemoryLimitTest, IsTheLeastOfTheGroupsAroundTheProcess) {
  Limit("/system.slice/attend.service", "max\n");
  Limit("/system.slice", "700\n");
  Limit("/user.slice", "5\n");
  EXPECT_EQ(CgroupMemoryLimit("0::/system.slice/attend.service\n", root_), 700);
  Limit("/system.slice/attend.service", "600\n");
  EXPECT_EQ(CgroupMemoryLimit("0::/system.slice/attend.service\n", root_), 600);
  EXPECT_EQ(CgroupMemoryLimit("4:memory:/user.slice\n0::/system.slice\n", root_), 700);
}

TEST_F(CgroupMemoryLimitTest, IsNoneWhereNoFileSetsOne) {
  EXPECT_EQ(CgroupMemoryLimit("0::/a/b\n", root_), std::nullopt);
  EXPECT_EQ(CgroupMemoryLimit("", root_), std::nullopt);
  Limit("/a", "max\n");
  EXPECT_EQ(CgroupMemoryLimit("0::/a/b\n", root_), std::nullopt);
  Limit("/a", "many");
  EXPECT_EQ(CgroupMemoryLimit("0::/a/b\n", root_), std::nullopt);
}

TEST(MemoryLimitTest, IsMoreThanTheProcessHolds) {
  EXPECT_GT(HeldMemory(), 0);
  EXPECT_GT(MemoryLimit(), HeldMemory());
}

TEST(HeldMemoryTest, GrowsByWhatIsWritten) {
  constexpr size_t kBytes = 64 << 20;
  const int64_t before = HeldMemory();
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kBytes);
  EXPECT_GE(HeldMemory(), before + static_cast<int64_t>(kBytes) / 2);
  munmap(memory, kBytes);
}

}  // namespace
}  // namespace attend
