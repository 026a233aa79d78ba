// SPDX-License-Identifier: Apache-2.0

// Commands with "-" for a file, as in a pipe.
#include "client/cli/standard_streams.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/arrays.h"
#include "client/cli/command.h"
#include "client/cli/random_tensor.h"
#include "nlohmann/json.hpp"
#include "tests/client/cli/command_runner.h"
#include "tests/client/fake_service.h"

namespace attend::cli {
namespace {

using ::testing::HasSubstr;

// Another file in the place of a standard stream, for the length of a scope.
class Redirected {
 public:
  Redirected(int stream, int file) : stream_(stream), saved_(dup(stream)) { dup2(file, stream); }
  ~Redirected() {
    dup2(saved_, stream_);
    close(saved_);
  }

 private:
  const int stream_;
  const int saved_;
};

// A terminal of the test's own: what a user sits at.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    EXPECT_EQ(grantpt(master_), 0);
    EXPECT_EQ(unlockpt(master_), 0);
    slave_ = open(ptsname(master_), O_RDWR | O_NOCTTY);
    EXPECT_TRUE(isatty(slave_));
  }
  ~Terminal() {
    close(slave_);
    close(master_);
  }
  int file() const { return slave_; }

 private:
  const int master_;
  int slave_ = -1;
};

class StandardStreamsTest : public testing::Test {
 protected:
  StandardStreamsTest() {
    folder_ = std::filesystem::path(testing::TempDir()) / absl::StrCat("attend-streams-", getpid());
    std::filesystem::create_directories(folder_);
  }
  ~StandardStreamsTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  Ran Call(std::vector<std::string> arguments, const std::string& input_file = "/dev/null") {
    arguments.insert(arguments.begin(), "--server=" + server_.address());
    const int file = open(input_file.c_str(), O_RDONLY);
    const Redirected input(STDIN_FILENO, file);
    close(file);
    return RunCommand(RunCall, arguments);
  }

  // The bytes as a file of this name.
  std::string Save(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }

  client::FakeServer server_;
  std::filesystem::path folder_;
};

TEST_F(StandardStreamsTest, NpyInAndNpyOut) {
  const Tensor query = RandomTensor({2, 3, 4}, 1);
  ASSERT_TRUE(WriteNpy(Path("q.npy"), query).ok());
  const Ran ran = Call({"--layer=l0", "--query=-", "--output=-"}, Path("q.npy"));
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  const auto output = ReadNpy(Save("o.npy", ran.out));
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->ToFloats(), query.ToFloats());
  EXPECT_EQ(output->shape(), query.shape());
  EXPECT_THAT(ran.err, HasSubstr("output   float32 [2, 3, 4]"));
}

TEST_F(StandardStreamsTest, SafetensorsInAndSafetensorsOut) {
  const Tensor query = RandomTensor({1, 2, 4}, 1);
  const Tensor slopes = RandomTensor({2}, 2);
  ASSERT_TRUE(
      WriteSafetensors(Path("in.safetensors"), {{"query", query}, {"alibi_slopes", slopes}}).ok());
  const Ran ran = Call(
      {"--layer=l0", "--input=-", "--log-sum-exp", "--output=-", "--output-format=safetensors"},
      Path("in.safetensors"));
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  const auto output = ReadSafetensors(Save("o.safetensors", ran.out));
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->at("output").ToFloats(), query.ToFloats());
  EXPECT_EQ(output->at("log_sum_exp").ToFloats(), slopes.ToFloats());
}

TEST_F(StandardStreamsTest, OneTensorOfAStream) {
  const Tensor query = RandomTensor({1, 2, 4}, 1);
  ASSERT_TRUE(
      WriteSafetensors(Path("in.safetensors"), {{"a", query}, {"b", RandomTensor({1, 2, 4}, 2)}})
          .ok());
  const Ran ran = Call({"--layer=l0", "--query=-#a", "--output=-"}, Path("in.safetensors"));
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_EQ(ReadNpy(Save("o.npy", ran.out))->ToFloats(), query.ToFloats());
  const Ran which = Call({"--layer=l0", "--query=-"}, Path("in.safetensors"));
  EXPECT_EQ(which.exit, kUsage);
  EXPECT_THAT(which.err, HasSubstr("standard input: holds no tensor \"query\"; choose with -#NAME "
                                   "one of: a, b"));
}

TEST_F(StandardStreamsTest, AStreamThatIsNoArrayIsRefusedByName) {
  for (const std::string bytes : {"", "hello", "\x93NUMPY", "\x93NUMPY\1"}) {
    const Ran ran = Call({"--layer=l0", "--query=-"}, Save("x", bytes));
    EXPECT_EQ(ran.exit, kUsage);
    EXPECT_THAT(ran.err, HasSubstr("attend: standard input: "));
  }
  EXPECT_EQ(server_.service.calls(), 0);
}

TEST_F(StandardStreamsTest, APipeIsAFileToo) {
  ASSERT_TRUE(WriteNpy(Path("q.npy"), RandomTensor({1, 2, 4}, 1)).ok());
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  std::ostringstream bytes;
  bytes << std::ifstream(Path("q.npy"), std::ios::binary).rdbuf();
  ASSERT_EQ(write(pipe_ends[1], bytes.str().data(), bytes.str().size()),
            static_cast<ssize_t>(bytes.str().size()));
  close(pipe_ends[1]);
  std::filesystem::create_symlink(absl::StrCat("/dev/fd/", pipe_ends[0]), Path("pipe.npy"));
  const Ran ran = Call({"--layer=l0", "--query=" + Path("pipe.npy")});
  close(pipe_ends[0]);
  EXPECT_EQ(ran.exit, kOk) << ran.err;
}

TEST_F(StandardStreamsTest, OnlyOneInputAndOneOutputMayUseAStream) {
  const auto error = [this](const std::vector<std::string>& arguments) {
    const Ran ran = Call(arguments);
    EXPECT_EQ(ran.exit, kUsage);
    EXPECT_EQ(ran.out, "");
    return ran.err;
  };
  EXPECT_THAT(error({"--query=-", "--bias=-#b"}),
              HasSubstr("--query and --bias cannot both read standard input; use a file for one"));
  EXPECT_THAT(error({"--query=-", "--tls", "--tls-key=-"}), HasSubstr("--query and --tls-key"));
  EXPECT_THAT(error({"--random=1x2x4", "--tls", "--tls-cert=-", "--tls-key=-"}),
              HasSubstr("--tls-cert and --tls-key"));
  EXPECT_THAT(error({"--random=1x2x4", "--weights=mean", "--output=-", "--weights-output=-"}),
              HasSubstr("--output and --weights-output cannot both write standard output"));
  EXPECT_THAT(error({"--random=1x2x4", "--output=-", "--json"}),
              HasSubstr("--output and --json cannot both write standard output"));
  EXPECT_THAT(error({"--random=1x2x4", "--output=o.npy", "--output-format=npy"}),
              HasSubstr("--output-format needs an output that is -"));
  EXPECT_EQ(server_.service.calls(), 0);
}

TEST_F(StandardStreamsTest, ATerminalIsNotReadAndGetsNothingBinary) {
  const Terminal terminal;
  const std::string server = "--server=" + server_.address();
  {
    const Redirected input(STDIN_FILENO, terminal.file());
    const Ran ran = RunCommand(RunCall, {server, "--layer=l0", "--query=-"});
    EXPECT_EQ(ran.exit, kUsage);
    EXPECT_THAT(ran.err, HasSubstr("--query reads standard input, which is a terminal"));
  }
  testing::internal::CaptureStderr();
  int exit = kOk;
  {
    const Redirected output(STDOUT_FILENO, terminal.file());
    exit = RunCall({server, "--layer=l0", "--random=1x2x4", "--output=-"});
  }
  EXPECT_EQ(exit, kUsage);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("--output writes binary data to standard output, which is a terminal"));
  EXPECT_EQ(server_.service.calls(), 0);
}

TEST_F(StandardStreamsTest, AFullDiskIsNotSuccess) {
  const int full = open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  testing::internal::CaptureStderr();
  int exit = kOk;
  {
    const Redirected output(STDOUT_FILENO, full);
    exit = RunCall({"--server=" + server_.address(), "--layer=l0", "--random=1x2x4", "--output=-"});
  }
  close(full);
  EXPECT_EQ(exit, kNotWritten);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("could not be written: standard output: No space left on device"));
}

TEST_F(StandardStreamsTest, BenchPutsItsJsonOnStandardOutputAlone) {
  const Ran ran =
      RunCommand(RunBench, {"--server=" + server_.address(), "--layer=l0", "--warmup=0s",
                            "--rate=1000", "--duration=5ms", "--quiet", "--json=-"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_EQ(nlohmann::json::parse(ran.out)["mode"], "open");
  EXPECT_THAT(ran.err, HasSubstr("throughput"));
}

}  // namespace
}  // namespace attend::cli
