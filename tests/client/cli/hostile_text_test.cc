// SPDX-License-Identifier: Apache-2.0

// The commands against a server whose every text tries to take over the terminal.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "attend/v1/attention.grpc.pb.h"
#include "attend/v1/layer.grpc.pb.h"
#include "attend/v1/server.grpc.pb.h"
#include "client/cli/command.h"
#include "grpcpp/grpcpp.h"
#include "nlohmann/json.hpp"
#include "tests/client/cli/command_runner.h"
#include "tests/client/cpp/wire_bytes.h"

namespace attend::cli {
namespace {

using client::BytesField;

// Escape sequences in 7 and 8 bits, a bell, a forged line, overrides of direction, a tag.
constexpr char kHostile[] =
    "x\x1b[2J\x1b]0;t\x07\u009b31m\nattend: all is well\n\r\u202egnp\u2066\u200b\U000e0041\x7f";

void FillTexts(google::protobuf::Message* message) {
  const google::protobuf::Reflection* reflection = message->GetReflection();
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const google::protobuf::FieldDescriptor* field = message->GetDescriptor()->field(i);
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      if (field->is_repeated()) {
        reflection->AddString(message, field, kHostile);
      } else {
        reflection->SetString(message, field, kHostile);
      }
    } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE &&
               !field->is_repeated()) {
      FillTexts(reflection->MutableMessage(message, field));
    }
  }
}

class HostileAttention : public v1::AttentionService::Service {
 public:
  grpc::Status MultiHeadAttention(grpc::ServerContext*,
                                  const v1::MultiHeadAttentionRequest* request,
                                  v1::MultiHeadAttentionResponse* response) override {
    if (fails) {
      const std::string info = BytesField(1, kHostile) + BytesField(2, kHostile) +
                               BytesField(3, BytesField(1, "field") + BytesField(2, kHostile));
      return {grpc::StatusCode::INTERNAL, absl::StrCat(kHostile, "\xff\x9b"),
              BytesField(3, BytesField(1, "type.googleapis.com/google.rpc.ErrorInfo") +
                                BytesField(2, info))};
    }
    *response->mutable_output() = request->query();
    response->set_layer_sha256("\x1b[2J");
    response->add_warnings(kHostile);
    if (varies) response->add_warnings(absl::StrCat("answer ", ++answers_));
    return grpc::Status::OK;
  }

  std::atomic<bool> fails = false;
  std::atomic<bool> varies = false;  // whether each answer has a warning of its own as well

 private:
  std::atomic<int> answers_ = 0;
};

class HostileLayers : public v1::LayerService::Service {
  grpc::Status ListLayers(grpc::ServerContext*, const v1::ListLayersRequest*,
                          v1::ListLayersResponse* response) override {
    FillTexts(response->add_layers());
    response->mutable_layers(0)->set_embed_dim(4);
    if (two) FillTexts(response->add_layers());
    return grpc::Status::OK;
  }

 public:
  std::atomic<bool> two = false;
};

class HostileInfo : public v1::ServerService::Service {
  grpc::Status GetServerInfo(grpc::ServerContext*, const v1::GetServerInfoRequest*,
                             v1::ServerInfo* response) override {
    FillTexts(response);
    return grpc::Status::OK;
  }
};

class HostileTextTest : public testing::Test {
 protected:
  HostileTextTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&attention_);
    builder.RegisterService(&layers_);
    builder.RegisterService(&info_);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("--server=127.0.0.1:", port);
  }

  Ran Run(Command command, std::vector<std::string> arguments) {
    arguments.push_back(address_);
    Ran ran = RunCommand(command, arguments);
    CheckText(ran.out);
    CheckText(ran.err);
    return ran;
  }

  // Independent of the code under test: no byte of the text may begin what a terminal obeys.
  static void CheckText(const std::string& text) {
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      // All text of ours is ASCII, and so are the escapes.
      EXPECT_TRUE(byte == '\n' || (byte >= 0x20 && byte < 0x7f)) << int{byte} << " in\n" << text;
    }
    EXPECT_FALSE(absl::StrContains(text, "\nattend: all is well")) << text;
  }

  HostileAttention attention_;
  HostileLayers layers_;
  HostileInfo info_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

TEST_F(HostileTextTest, LayersIsSafe) {
  EXPECT_TRUE(absl::StrContains(Run(RunLayers, {}).out, "x\\x1b[2J"));
  EXPECT_EQ(Run(RunLayers, {"--json"}).exit, kOk);
}

TEST_F(HostileTextTest, InfoIsSafe) {
  EXPECT_TRUE(absl::StrContains(Run(RunInfo, {}).out, "x\\x1b[2J"));
  EXPECT_EQ(Run(RunInfo, {"--json"}).exit, kOk);
}

TEST_F(HostileTextTest, CallIsSafe) {
  const Ran ran = Run(RunCall, {"--random=1x2x4"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_TRUE(absl::StrContains(ran.err, "warning: x\\x1b[2J"));
  EXPECT_TRUE(absl::StrContains(ran.out, "sha256 \\x1b[2J"));
}

TEST_F(HostileTextTest, CallIsSafeInJsonToo) {
  const Ran ran = Run(RunCall, {"--random=1x2x4", "--json", "-v"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  // Escaped as JSON does: a script gets the text of the server.
  EXPECT_EQ(nlohmann::json::parse(ran.out)["warnings"][0], kHostile);
}

TEST_F(HostileTextTest, AnErrorIsSafe) {
  attention_.fails = true;
  const Ran ran = Run(RunCall, {"--random=1x2x4", "-v"});
  EXPECT_EQ(ran.exit, kFailed);
  EXPECT_TRUE(absl::StrContains(ran.err, "INTERNAL: x\\x1b[2J")) << ran.err;
  EXPECT_TRUE(absl::StrContains(ran.err, "reason x\\x1b[2J")) << ran.err;
}

TEST_F(HostileTextTest, AChoiceOfLayersIsSafe) {
  layers_.two = true;
  EXPECT_TRUE(absl::StrContains(Run(RunCall, {"--random=1x2x4"}).err, "--layer"));
}

TEST_F(HostileTextTest, BenchIsSafe) {
  const Ran ran = Run(RunBench, {"--rate=1000", "--warmup=0s", "--duration=5ms", "--tokens=1"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_TRUE(absl::StrContains(ran.out, "server x\\x1b[2J"));
  EXPECT_TRUE(absl::StrContains(ran.err, "warning: x\\x1b[2J"));
}

TEST_F(HostileTextTest, BenchPrintsABoundedNumberOfWarnings) {
  attention_.varies = true;
  const Ran ran =
      Run(RunBench, {"--rate=1000", "--warmup=0s", "--duration=100ms", "--tokens=1", "--quiet"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_TRUE(absl::StrContains(ran.err, "warning: answer 1\n")) << ran.err;
  const auto printed = std::count(ran.err.begin(), ran.err.end(), '\n');
  EXPECT_GT(printed, 2) << ran.err;  // more than those of the first call
  EXPECT_LE(printed, 2 + 16) << ran.err;
}

TEST_F(HostileTextTest, HealthIsSafe) {
  EXPECT_NE(Run(RunHealth, {kHostile}).exit, kOk);
}

}  // namespace
}  // namespace attend::cli
