// SPDX-License-Identifier: Apache-2.0

// Reflection as grpcurl requests it. The stream of bytes is made by hand, because gRPC installs
// no generated classes for it.

#include <grpcpp/generic/generic_stub.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/server_process.h"
#include "tests/support/byte_buffers.h"

namespace attend {
namespace {

using testing::HasSubstr;

// The answer to one ServerReflectionRequest (reflection.proto).
std::string Ask(const ServerProcess& server, const std::string& request,
                const std::string& version = "v1alpha") {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(server.Channel());
  const auto stream = stub.PrepareCall(
      &context, "/grpc.reflection." + version + ".ServerReflection/ServerReflectionInfo", &queue);
  const auto next = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  stream->StartCall(nullptr);
  EXPECT_TRUE(next());
  const grpc::Slice slice(request);
  stream->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  EXPECT_TRUE(next());
  grpc::ByteBuffer response;
  stream->Read(&response, nullptr);
  EXPECT_TRUE(next());
  stream->WritesDone(nullptr);
  EXPECT_TRUE(next());
  grpc::Status status;
  stream->Finish(&status, nullptr);
  EXPECT_TRUE(next());
  EXPECT_TRUE(status.ok()) << status.error_message();
  return Flatten(response);
}

TEST(ReflectionTest, ListsEveryService) {
  ServerProcess server;
  const std::string services = Ask(server, std::string("\x3a\x00", 2));  // list_services = ""
  for (const char* name :
       {"attend.v1.AttentionService", "attend.v1.LayerService", "attend.v1.ServerService",
        "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}) {
    EXPECT_THAT(services, HasSubstr(name));
  }
  EXPECT_EQ(Ask(server, std::string("\x3a\x00", 2), "v1"), services);
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
