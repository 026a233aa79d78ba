// SPDX-License-Identifier: Apache-2.0
#include "core/base/read_file.h"

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

// The size of such a file is 0.
TEST(ReadFileTest, ReadsWhatLinuxTells) {
  EXPECT_NE(ReadFile("/proc/self/status").find("Pid:"), std::string::npos);
}

}  // namespace
}  // namespace attend
