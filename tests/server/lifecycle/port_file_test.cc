// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/port_file.h"

#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string Read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class PortFileTest : public testing::Test {
 protected:
  PortFileTest() {
    std::string folder = testing::TempDir() + "port_file.XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  ~PortFileTest() override { fs::remove_all(folder_); }

  std::unique_ptr<PortFile> Write() {
    auto file = PortFile::Write(path(), {"127.0.0.1:1234", "unix:/x"}, "127.0.0.1:5678");
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? *std::move(file) : nullptr;
  }
  std::string path() const { return folder_ / "ports"; }
  int64_t CountFiles() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }

  fs::path folder_;
};

constexpr char kText[] =
    "{\"grpc\":[\"127.0.0.1:1234\",\"unix:/x\"],\"metrics\":\"127.0.0.1:5678\"}\n";

TEST_F(PortFileTest, HoldsTheAddressesForAnybodyAndLeavesNothingElse) {
  const auto file = Write();
  EXPECT_EQ(Read(path()), kText);
  EXPECT_EQ(CountFiles(), 1);
  EXPECT_EQ(fs::status(path()).permissions(), static_cast<fs::perms>(0644));
}

TEST_F(PortFileTest, IsRemovedAtTheEnd) {
  Write().reset();
  EXPECT_EQ(CountFiles(), 0);
}

TEST_F(PortFileTest, DoesNotRemoveTheFileOfTheNextServer) {
  auto file = Write();
  const auto next = Write();
  file.reset();
  EXPECT_EQ(Read(path()), kText);
}

// Whoever may write to the folder could have had the server write to any file of its user.
TEST_F(PortFileTest, FollowsNoLink) {
  const fs::path target = folder_ / "target";
  std::ofstream(target) << "precious";
  fs::create_symlink(target, path());
  fs::create_symlink(target, path() + ".new");
  const auto file = Write();
  EXPECT_EQ(Read(target), "precious");
  EXPECT_FALSE(fs::is_symlink(path()));
  EXPECT_EQ(Read(path()), kText);
}

TEST_F(PortFileTest, SaysWhyItCannotBeWrittenAndLeavesNothing) {
  fs::create_directory(path());
  const auto in_place_of_a_folder = PortFile::Write(path(), {}, "");
  EXPECT_EQ(in_place_of_a_folder.status().message(),
            "--port-file: cannot write " + path() + ": Is a directory");
  EXPECT_EQ(CountFiles(), 1);
  const auto nowhere = PortFile::Write(folder_ / "none" / "ports", {}, "");
  EXPECT_THAT(std::string(nowhere.status().message()), HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace attend
