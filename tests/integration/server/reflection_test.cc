// SPDX-License-Identifier: Apache-2.0

// Reflection as grpcurl requests it. The stream of bytes is made by hand, because gRPC installs
// no generated classes for it.

#include <grpcpp/generic/generic_stub.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/server_process.h"
#include "tests/support/byte_buffers.h"

namespace attend {
namespace {

using testing::HasSubstr;

// One stream of reflection, open until Finish or the destructor. To be used by one thread.
class ReflectionStream {
 public:
  explicit ReflectionStream(const std::shared_ptr<grpc::Channel>& channel,
                            const std::string& version = "v1alpha") {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    stream_ = grpc::GenericStub(channel).PrepareCall(
        &context_, "/grpc.reflection." + version + ".ServerReflection/ServerReflectionInfo",
        &queue_);
    stream_->StartCall(nullptr);
    EXPECT_TRUE(Next());
  }

  // Sends one ServerReflectionRequest (reflection.proto) and returns its answer.
  std::string Ask(const std::string& request) {
    const grpc::Slice slice(request);
    stream_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    EXPECT_TRUE(Next());
    grpc::ByteBuffer response;
    stream_->Read(&response, nullptr);
    EXPECT_TRUE(Next());
    return Flatten(response);
  }

  grpc::Status Finish() {
    stream_->WritesDone(nullptr);
    EXPECT_TRUE(Next());
    grpc::Status status;
    stream_->Finish(&status, nullptr);
    EXPECT_TRUE(Next());
    return status;
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

// The answer to one request on a stream of its own.
std::string Ask(const ServerProcess& server, const std::string& request,
                const std::string& version = "v1alpha") {
  ReflectionStream stream(server.Channel(), version);
  std::string answer = stream.Ask(request);
  const grpc::Status status = stream.Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return answer;
}

const std::string& ListServices() {
  static const std::string request("\x3a\x00", 2);  // list_services = ""
  return request;
}

int64_t CountThreads(pid_t pid) {
  const std::filesystem::directory_iterator tasks(absl::StrCat("/proc/", pid, "/task"));
  return std::distance(begin(tasks), end(tasks));
}

TEST(ReflectionTest, ListsEveryService) {
  ServerProcess server;
  const std::string services = Ask(server, ListServices());
  for (const char* name :
       {"attend.v1.AttentionService", "attend.v1.LayerService", "attend.v1.ServerService",
        "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}) {
    EXPECT_THAT(services, HasSubstr(name));
  }
  EXPECT_EQ(Ask(server, ListServices(), "v1"), services);
}

TEST(ReflectionTest, DescribesEveryService) {
  ServerProcess server;
  // file_containing_symbol = name
  for (const std::string name : {"attend.v1.AttentionService", "grpc.health.v1.Health"}) {
    const std::string request = std::string("\x22") + static_cast<char>(name.size()) + name;
    EXPECT_THAT(Ask(server, request), HasSubstr("proto3")) << name;
  }
  // With it comes all that its file imports, once.
  const std::string attention = Ask(server,
                                    "\x22\x1a"
                                    "attend.v1.AttentionService");
  EXPECT_THAT(attention, HasSubstr("attend/v1/tensor.proto"));
}

TEST(ReflectionTest, SaysWhatItDoesNotKnow) {
  ServerProcess server;
  EXPECT_THAT(Ask(server, "\x22\x06nobody"), HasSubstr("there is no symbol \"nobody\""));
  EXPECT_THAT(Ask(server, "\x1a\x06nobody"), HasSubstr("there is no file \"nobody\""));
  EXPECT_THAT(Ask(server, "\x32\x06nobody"), HasSubstr("there is no message \"nobody\""));
  EXPECT_THAT(Ask(server, ""), HasSubstr("the request asks for nothing"));
}

TEST(ReflectionTest, TakesNoThreadPerStream) {
  ServerProcess server;
  const std::vector<std::shared_ptr<grpc::Channel>> channels = {server.Channel(), server.Channel()};
  std::vector<std::unique_ptr<ReflectionStream>> streams;
  const auto open = [&](const std::shared_ptr<grpc::Channel>& channel) {
    streams.push_back(std::make_unique<ReflectionStream>(channel));
    EXPECT_THAT(streams.back()->Ask(ListServices()), HasSubstr("attend.v1.AttentionService"));
  };
  // The first call of each connection may start threads that serve all others as well.
  for (const auto& channel : channels) open(channel);
  const int64_t before = CountThreads(server.process().pid());
  while (streams.size() < 300) open(channels[streams.size() % channels.size()]);
  // gRPC may start a few threads of its own at any time.
  EXPECT_LE(CountThreads(server.process().pid()), before + 10);
  EXPECT_EQ(Sum(server.Metrics(), "attend_calls"), 300) << "all streams must still be open";
}

TEST(ReflectionTest, CanBeSwitchedOff) {
  ServerProcess server({"--reflection=off"});
  for (const char* version : {"v1alpha", "v1"}) {
    const CallResult result = MakeCall(
        server.Channel(),
        std::string("/grpc.reflection.") + version + ".ServerReflection/ServerReflectionInfo", "");
    EXPECT_EQ(result.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  }
}

}  // namespace
}  // namespace attend
