// SPDX-License-Identifier: Apache-2.0

// What scripts see of each way to fail, against servers that fail in this way.
#include "client/cli/exit_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cpp/status.h"
#include "tests/client/cli/command_runner.h"
#include "tests/client/fake_service.h"
#include "tests/client/loopback_listener.h"

namespace attend::cli {
namespace {

using ::testing::HasSubstr;

Ran CallOnce(const std::string& server, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"--server=" + server, "--layer=l0", "--random=1x2x4",
                                        "--max-attempts=1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return RunCommand(RunCall, arguments);
}

// A server whose calls fail with this.
Ran CallThatFails(const grpc::Status& status, const std::string& pushback = "") {
  client::FakeServer server;
  server.service.set_hook([=](int, grpc::ServerContext& context) {
    if (!pushback.empty()) context.AddTrailingMetadata("grpc-retry-pushback-ms", pushback);
    return status;
  });
  return CallOnce(server.address());
}

TEST(ExitCodeTest, OfAnAnswer) {
  client::FakeServer server;
  EXPECT_EQ(CallOnce(server.address()).exit, 0);
}

TEST(ExitCodeTest, OfAServerThatFails) {
  EXPECT_EQ(CallThatFails({grpc::StatusCode::INTERNAL, "broken"}).exit, 1);
  EXPECT_EQ(CallThatFails({grpc::StatusCode::UNKNOWN, "broken"}).exit, 1);
}

TEST(ExitCodeTest, OfAWrongOption) {
  EXPECT_EQ(CallOnce("127.0.0.1:1", {"--weights=some"}).exit, 2);
  EXPECT_EQ(CallOnce("127.0.0.1:1", {"--bias=no-such-file.npy"}).exit, 2);
  EXPECT_EQ(CallOnce("").exit, 2);
}

TEST(ExitCodeTest, OfAnErrorThatIsFoundBeforeSending) {
  client::FakeServer server;
  const Ran ran = CallOnce(server.address(), {"--timeout=0s", "--layer", "l1"});
  EXPECT_EQ(ran.exit, 2) << "given twice";
  EXPECT_EQ(server.service.calls(), 0);
}

TEST(ExitCodeTest, WithoutAServer) {
  const Ran ran = CallOnce("127.0.0.1:1");
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.err, HasSubstr("UNAVAILABLE"));
  EXPECT_EQ(RunCommand(RunHealth, {"--server=ipv4:127.0.0.1:1"}).exit, 3);
  EXPECT_EQ(CallThatFails({grpc::StatusCode::UNAVAILABLE, "draining"}).exit, 3);
}

TEST(ExitCodeTest, WithAnAddressThatNeverAnswers) {
  const LoopbackListener silent;
  const Ran ran = CallOnce(silent.address(), {"--timeout=20ms"});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_THAT(ran.err, HasSubstr("DEADLINE_EXCEEDED"));
  EXPECT_THAT(ran.err, HasSubstr("the server does not answer to a health check, either"));
  EXPECT_EQ(RunCommand(RunHealth, {"--timeout=20ms", "--server=" + silent.address()}).exit, 3);
}

TEST(ExitCodeTest, OfACallThatIsWrong) {
  for (const grpc::StatusCode code :
       {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::NOT_FOUND,
        grpc::StatusCode::UNIMPLEMENTED, grpc::StatusCode::UNAUTHENTICATED,
        grpc::StatusCode::PERMISSION_DENIED, grpc::StatusCode::FAILED_PRECONDITION}) {
    EXPECT_EQ(CallThatFails({code, "wrong"}).exit, 4) << code;
  }
  EXPECT_EQ(CallThatFails({grpc::StatusCode::RESOURCE_EXHAUSTED, "too large"}).exit, 4);
}

TEST(ExitCodeTest, OfABusyServer) {
  const Ran ran = CallThatFails({grpc::StatusCode::RESOURCE_EXHAUSTED, "queue full"}, "250");
  EXPECT_EQ(ran.exit, 5);
  EXPECT_THAT(ran.err, HasSubstr("the server asks to wait 250 ms"));
  // gRPC's words for a stream that the server's side reset for its load.
  EXPECT_EQ(CallThatFails(
                {grpc::StatusCode::RESOURCE_EXHAUSTED, "Received RST_STREAM with error code 11"})
                .exit,
            5);
}

TEST(ExitCodeTest, OfADeadlineThatAServerMisses) {
  client::FakeServer server;
  server.service.set_hook([](int, grpc::ServerContext& context) {
    while (!context.IsCancelled()) std::this_thread::yield();
    return grpc::Status(grpc::StatusCode::CANCELLED, "the caller went away");
  });
  const Ran ran = CallOnce(server.address(), {"--timeout=20ms"});
  EXPECT_EQ(ran.exit, 6) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("the server answers; allow more time with --timeout"));
}

TEST(ExitCodeTest, OfAnOutputThatCannotBeWritten) {
  client::FakeServer server;
  const Ran ran = CallOnce(server.address(), {"--output=/no/such/folder/o.npy"});
  EXPECT_EQ(ran.exit, 7);
  EXPECT_THAT(ran.err, HasSubstr("the call worked, but its result could not be written: "
                                 "/no/such/folder/o.npy: No such file or directory"));
  EXPECT_THAT(ran.out, HasSubstr("output   float32 [1, 2, 4]"));
  const Ran bench = RunCommand(
      RunBench, {"--server=" + server.address(), "--layer=l0", "--warmup=0s", "--rate=1000",
                 "--duration=5ms", "--quiet", "--json=/no/such/folder/r.json"});
  EXPECT_EQ(bench.exit, 7) << bench.err;
}

TEST(ExitCodeTest, OfErrorsOfThisProgram) {
  EXPECT_EQ(ExitCodeFor(client::internal::OutOfMemoryError(), true), kFailed);
  EXPECT_EQ(ExitCodeFor(client::internal::UndecodableError(), true), kFailed);
  EXPECT_EQ(ExitCodeFor(client::internal::LocalError("SHAPE", "query", "is wrong"), true), kUsage);
  EXPECT_EQ(ExitCodeFor(absl::OkStatus(), true), kOk);
}

}  // namespace
}  // namespace attend::cli
