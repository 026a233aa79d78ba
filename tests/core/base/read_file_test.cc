// SPDX-License-Identifier: Apache-2.0
#include "core/base/read_file.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace attend {
namespace {

TEST(ReadFileTest, ReturnsAllBytesOrNothing) {
  char folder[] = "/tmp/attend-test-XXXXXX";
  const std::string path = std::string(mkdtemp(folder)) + "/file";
  EXPECT_EQ(ReadFile(path), "") << "there is no file";
  const std::string bytes("a\r\n\0b\n", 6);
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_EQ(ReadFile(path), bytes);
  std::filesystem::remove_all(folder);
}

TEST(ReadFileTest, ReturnsTheBeginningOfALongFile) {
  char folder[] = "/tmp/attend-test-XXXXXX";
  const std::string path = std::string(mkdtemp(folder)) + "/file";
  std::ofstream(path, std::ios::binary) << std::string(10'000, 'x');
  for (const size_t most : {0u, 1u, 4096u, 9'999u, 10'000u}) {
    EXPECT_EQ(ReadFileUpTo(most, path).value(), std::string(most, 'x'));
  }
  EXPECT_EQ(ReadFileUpTo(SIZE_MAX, path).value(), std::string(10'000, 'x'));
  std::filesystem::remove_all(folder);
}

TEST(ReadFileTest, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(ReadFileUpTo(10, "/tmp/attend-test-none").status(),
            absl::UnavailableError("No such file or directory"));
  EXPECT_EQ(ReadFileUpTo(10, "/tmp").status(), absl::UnavailableError("Is a directory"));
}

// The size of such a file is 0.
TEST(ReadFileTest, ReadsWhatLinuxTells) {
  EXPECT_NE(ReadFile("/proc/self/status").find("Pid:"), std::string::npos);
}

}  // namespace
}  // namespace attend
