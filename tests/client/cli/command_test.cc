// SPDX-License-Identifier: Apache-2.0

// The commands as a user runs them, against a service that echoes its query.
#include "client/cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/arrays.h"
#include "client/cli/latency.h"
#include "client/cli/random_tensor.h"
#include "nlohmann/json.hpp"
#include "tests/client/cli/command_runner.h"
#include "tests/client/fake_service.h"

namespace attend::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CommandTest : public testing::Test {
 protected:
  CommandTest() {
    folder_ = std::filesystem::path(testing::TempDir()) / absl::StrCat("attend-cli-", getpid());
    std::filesystem::create_directories(folder_);
  }
  ~CommandTest() override { std::filesystem::remove_all(folder_); }

  Ran Run(Command command, std::vector<std::string> arguments) {
    arguments.push_back("--server=" + server_.address());
    return RunCommand(command, arguments);
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  client::FakeServer server_;
  std::filesystem::path folder_;
};

TEST_F(CommandTest, LayersListsThem) {
  const Ran ran = Run(RunLayers, {});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("NAME"));
  EXPECT_THAT(ran.out, HasSubstr("\nl4 "));
  EXPECT_THAT(ran.out, HasSubstr("  GENERATION  FAMILY       BLOCK         DECODER  SETTINGS\n"));
  EXPECT_THAT(ran.out, HasSubstr("  -            -             -        -\nl1 "));
  EXPECT_THAT(ran.out, HasSubstr("  llama        decoder 4/30  yes      rotary=64,"));
  EXPECT_THAT(ran.out, HasSubstr("  rotary=64,theta=500000,llama3=8 qk-norm relative=32,backward "
                                 "softcap=50 window-left=4095\n"));
  const Ran one = Run(RunLayers, {"l0"});
  EXPECT_EQ(one.exit, kOk) << one.err;
  EXPECT_THAT(one.out, HasSubstr("\nl0 "));
  EXPECT_THAT(one.out, Not(HasSubstr("\nl1 ")));
  const Ran json = Run(RunLayers, {"--json", "l0"});
  EXPECT_EQ(json.exit, kOk);
  EXPECT_EQ(nlohmann::json::parse(json.out)["layers"][0]["embed_dim"], 4);
  const Ran none = Run(RunLayers, {"none"});
  EXPECT_EQ(none.exit, kRefused);
  EXPECT_THAT(none.err, HasSubstr("NOT_FOUND: no such layer"));
}

TEST_F(CommandTest, InfoAndHealth) {
  const std::string info = Run(RunInfo, {}).out;
  EXPECT_THAT(info, HasSubstr("9.8.7"));
  EXPECT_THAT(info, HasSubstr("revision                c0ffee\n"));
  EXPECT_THAT(info, HasSubstr("workers                 3\n"));
  EXPECT_THAT(info, HasSubstr("serving since           2023-11-14T22:13:20+00:00\n"));
  EXPECT_THAT(info, HasSubstr("max deadline            1.006s\n"));
  // Every limit is there once: those in milliseconds as a duration, the others as they are.
  for (int i = 0; i < v1::Limits::descriptor()->field_count(); ++i) {
    const auto* field = v1::Limits::descriptor()->field(i);
    const std::string number = std::to_string(1000 + field->number());
    const bool duration = absl::EndsWith(field->name(), "_ms");
    EXPECT_THAT(info, HasSubstr(duration ? "1." + number.substr(1) + "s\n" : " " + number + "\n"))
        << field->name();
  }
  const Ran json = Run(RunInfo, {"--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out)["workers"], 3);
  EXPECT_EQ(nlohmann::json::parse(json.out)["limits"]["max_rows"].type_name(),
            std::string("number"));
  const Ran serving = Run(RunHealth, {});
  EXPECT_EQ(serving.exit, kOk);
  EXPECT_EQ(serving.out, "SERVING\n");
  EXPECT_EQ(Run(RunHealth, {"no.such.Service"}).exit, kFailed);
  server_.server().GetHealthCheckService()->SetServingStatus("", false);
  const Ran not_serving = Run(RunHealth, {});
  EXPECT_EQ(not_serving.exit, kFailed);
  EXPECT_EQ(not_serving.out, "NOT_SERVING\n");
}

TEST_F(CommandTest, CallReadsAndWritesFiles) {
  const Tensor query = RandomTensor({2, 3, 4}, 1);
  ASSERT_TRUE(WriteNpy(Path("q.npy"), query).ok());
  const Ran ran = Run(RunCall, {"--layer=l0", "--query=" + Path("q.npy"), "--dtype=bfloat16",
                                "--output=" + Path("out.safetensors")});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("output   bfloat16 [2, 3, 4]  mean "));
  EXPECT_THAT(ran.out, HasSubstr("layer    l0, sha256 abc"));
  EXPECT_THAT(ran.err, HasSubstr("warning: set it \\x1b[2J\n"));
  EXPECT_THAT(ran.out, HasSubstr("compute 2.00 us (batch of 3, 48 tokens)"));
  const auto written = ReadSafetensors(Path("out.safetensors"));
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->at("output").ToFloats(),
            ConvertTensor(query, DataType::kBFloat16)->ToFloats());
}

TEST_F(CommandTest, CallTakesAllInputsFromOneFile) {
  const Tensor query = RandomTensor({1, 2, 2, 4}, 1);
  const Tensor weights = RandomTensor({1, 2, 2}, 2);
  ASSERT_TRUE(
      WriteSafetensors(Path("in.safetensors"), {{"query", query}, {"key", query}, {"value", query}})
          .ok());
  const Ran ran = Run(
      RunCall, {"--operator", "--input=" + Path("in.safetensors"), "--output=" + Path("o.npy")});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_EQ(ReadNpy(Path("o.npy"))->ToFloats(), query.ToFloats());

  ASSERT_TRUE(WriteNpy(Path("bias.npy"), weights).ok());
  const Ran with = Run(RunCall, {"--layer=l0", "--random=1x2x4", "--bias=" + Path("bias.npy"),
                                 "--weights=mean", "--weights-output=" + Path("w.npy")});
  EXPECT_EQ(with.exit, kOk) << with.err;
  EXPECT_EQ(ReadNpy(Path("w.npy"))->ToFloats(), weights.ToFloats());
}

TEST_F(CommandTest, CallPassesEveryOption) {
  const Tensor slopes = RandomTensor({2}, 3);
  ASSERT_TRUE(WriteNpy(Path("slopes.npy"), slopes).ok());
  const Ran ran =
      Run(RunCall, {"--layer=l0", "--random=1x2x4", "--scale=0.5", "--causal", "--alignment=end",
                    "--window-left=0", "--window-right=7", "--softcap=30", "--sinks=-1,2",
                    "--head-gates=0,1", "--weights=per-head", "--weights-stage=biased",
                    "--log-sum-exp", "--alibi-slopes=" + Path("slopes.npy"),
                    "--log-sum-exp-output=" + Path("log.npy"), "--priority=low"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("log-sum  float32 [2]"));
  EXPECT_EQ(ReadNpy(Path("log.npy"))->ToFloats(), slopes.ToFloats());
  const v1::AttentionOptions got = server_.service.last_options();
  EXPECT_EQ(got.scale(), 0.5f);
  EXPECT_TRUE(got.causal());
  EXPECT_EQ(got.alignment(), v1::ALIGNMENT_END);
  EXPECT_TRUE(got.has_window_left());
  EXPECT_EQ(got.window_left(), 0);
  EXPECT_EQ(got.window_right(), 7);
  EXPECT_EQ(got.softcap(), 30.0f);
  EXPECT_THAT(got.sinks(), ::testing::ElementsAre(-1, 2));
  EXPECT_THAT(got.head_gates(), ::testing::ElementsAre(0, 1));
  EXPECT_EQ(got.weights(), v1::WEIGHTS_PER_HEAD);
  EXPECT_EQ(got.weights_stage(), v1::WEIGHTS_STAGE_BIASED);
  EXPECT_TRUE(got.log_sum_exp());
  EXPECT_EQ(got.alibi_slopes().shape_size(), 1);
  EXPECT_EQ(server_.service.last_priority(), v1::PRIORITY_LOW);
}

TEST_F(CommandTest, CallPrintsOneJsonObject) {
  server_.service.set_hook([](int, grpc::ServerContext& context) {
    context.AddTrailingMetadata("x-request-id", "r-1");
    return grpc::Status::OK;
  });
  const float infinity = std::numeric_limits<float>::infinity();
  void* data = nullptr;
  const Tensor query = NewTensor(DataType::kFloat32, {1, 3, 4}, &data);
  for (int i = 0; i < 12; ++i) static_cast<float*>(data)[i] = 0.1f * static_cast<float>(i);
  const Tensor slopes = NewTensor(DataType::kFloat32, {2}, &data);
  std::fill_n(static_cast<float*>(data), 2, -infinity);
  ASSERT_TRUE(WriteNpy(Path("q.npy"), query).ok());
  ASSERT_TRUE(WriteNpy(Path("slopes.npy"), slopes).ok());
  const Ran ran =
      Run(RunCall, {"--layer=l0", "--query=" + Path("q.npy"), "--json", "--log-sum-exp",
                    "--alibi-slopes=" + Path("slopes.npy"), "--output=" + Path("all.safetensors"),
                    "--log-sum-exp-output=" + Path("lse.npy")});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_EQ(ran.err, "");
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["layer"], "l0");
  EXPECT_EQ(json["layer_sha256"], "abc");
  EXPECT_EQ(json["request_id"], "r-1");
  EXPECT_EQ(json["attempts"], 1);
  EXPECT_EQ(json["output"]["data_type"], "float32");
  EXPECT_EQ(json["output"]["shape"], nlohmann::json({1, 3, 4}));
  EXPECT_EQ(json["output"]["size_bytes"], 48);
  EXPECT_EQ(json["output"]["first_values"].size(), 8u);
  EXPECT_EQ(json["output"]["first_values"][1].dump(), "0.1");
  EXPECT_NEAR(json["output"]["mean"].get<double>(), 0.55, 1e-6);
  EXPECT_EQ(json["output"]["min"], 0);
  EXPECT_NEAR(json["output"]["max"].get<double>(), 1.1, 1e-6);
  EXPECT_NEAR(json["output"]["norm"].get<double>(), 0.1 * std::sqrt(506.0), 1e-5);
  EXPECT_EQ(json["output"]["not_finite"], 0);
  EXPECT_EQ(json["output"]["files"], nlohmann::json({Path("all.safetensors") + "#output"}));
  EXPECT_EQ(json["log_sum_exp"]["files"],
            nlohmann::json({Path("all.safetensors") + "#log_sum_exp", Path("lse.npy")}));
  EXPECT_EQ(json["log_sum_exp"]["first_values"], nlohmann::json({"-Infinity", "-Infinity"}));
  EXPECT_EQ(json["log_sum_exp"]["not_finite"], 2);
  EXPECT_TRUE(json["log_sum_exp"]["mean"].is_null());
  EXPECT_FALSE(json.contains("weights"));
  EXPECT_GT(json["timing"]["total_ns"], 0);
  EXPECT_EQ(json["timing"]["queue_ns"], 1000);
  EXPECT_EQ(json["timing"]["compute_ns"], 2000);
  EXPECT_EQ(json["timing"]["batch_requests"], 3);
  EXPECT_EQ(json["timing"]["batch_tokens"], 48);
  EXPECT_EQ(json["warnings"], nlohmann::json({"set it \x1b[2J"}));
  // A file of the answer is an input of the next call.
  EXPECT_EQ(
      Run(RunCall, {"--layer=l0", "--query=" + json["output"]["files"][0].get<std::string>()}).exit,
      kOk);
}

TEST_F(CommandTest, TheJsonOfALargeResponseIsSmall) {
  const Ran ran = Run(RunCall, {"--operator", "--random=1x64x8x32", "--json"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_LT(ran.out.size(), 1500u);
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_FALSE(json.contains("layer"));
  EXPECT_TRUE(json["output"]["files"].empty());
}

TEST_F(CommandTest, CallOfTheOperatorPassesThePriority) {
  const Ran ran = Run(RunCall, {"--operator", "--random=1x2x2x4", "--priority=high"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_EQ(server_.service.last_priority(), v1::PRIORITY_HIGH);
}

TEST_F(CommandTest, BenchPassesThePriority) {
  const Ran ran = Run(RunBench, {"--layer=l0", "--rate=1000", "--warmup=0s", "--duration=5ms",
                                 "--quiet", "--priority=low"});
  EXPECT_EQ(ran.exit, kOk) << ran.err;
  EXPECT_EQ(server_.service.last_priority(), v1::PRIORITY_LOW);
}

TEST_F(CommandTest, CallSaysWhatIsWrong) {
  const auto error = [this](std::vector<std::string> arguments) {
    const Ran ran = Run(RunCall, std::move(arguments));
    EXPECT_EQ(ran.exit, kUsage) << ran.out;
    return ran.err;
  };
  EXPECT_THAT(error({"--layer=l0"}), HasSubstr("there is no query"));
  EXPECT_THAT(error({"--random=1x2x4"}), HasSubstr("choose with --layer one of: l0, l1"));
  EXPECT_THAT(error({"--random=1y2"}), HasSubstr("is not a shape"));
  EXPECT_THAT(error({"--query=none.npy"}), HasSubstr("none.npy"));
  EXPECT_THAT(error({"--operator", "--query=" + Path("q.npy"), "--random=1x1"}),
              HasSubstr("query is given twice: by --query and --random"));
  ASSERT_TRUE(WriteSafetensors(Path("x.safetensors"), {{"x", RandomTensor({1}, 1)}}).ok());
  EXPECT_THAT(error({"--input=" + Path("x.safetensors")}),
              HasSubstr("the name of tensor \"x\" must be one of query, key, value, mask, bias"));
  EXPECT_THAT(error({"--random=1x2x4", "--dtype=int8"}), HasSubstr("--dtype"));
  EXPECT_THAT(error({"--random=1x2x4", "--weights=all"}), HasSubstr("none, per-head, mean"));
  EXPECT_THAT(error({"--random=1x2x4", "--weights-stage=biased"}), HasSubstr("needs --weights"));
  EXPECT_THAT(error({"--random=1x2x4", "--weights=mean", "--weights-stage=all"}),
              HasSubstr("probabilities, scaled, softcapped, biased"));
  EXPECT_THAT(error({"--random=1x2x4", "--log-sum-exp-output=x.npy"}),
              HasSubstr("needs --log-sum-exp"));
  EXPECT_THAT(error({"--random=1x2x4", "--layout=blhd"}), HasSubstr("--layout needs --operator"));
  EXPECT_THAT(error({"--random=1x2x4", "--output=x.txt"}), HasSubstr("x.txt"));
  EXPECT_THAT(error({"--random=1x2x4", "--weights-output=x.npy"}), HasSubstr("needs --weights"));
  EXPECT_THAT(error({"--random=1x2x4", "--priority=0"}), HasSubstr("high, normal, low"));
  EXPECT_THAT(error({"--random=1x2x4", "--duration=5s"}), HasSubstr("no option --duration"));
  EXPECT_THAT(error({"--random=1x2x4", "extra"}), HasSubstr("\"extra\""));
  EXPECT_THAT(error({"--random=1x2x4", "--tls-ca=x"}), HasSubstr("--tls-ca needs --tls"));
}

TEST_F(CommandTest, CallPrintsTheServersReason) {
  server_.service.set_hook([](int, grpc::ServerContext& context) {
    context.AddTrailingMetadata("x-request-id", "abc-1");
    return grpc::Status(grpc::StatusCode::INTERNAL, "broken");
  });
  const Ran ran = Run(RunCall, {"--layer=l0", "--random=1x2x4"});
  EXPECT_EQ(ran.exit, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("INTERNAL: broken"));
  EXPECT_THAT(ran.err, HasSubstr("request id abc-1"));
}

TEST_F(CommandTest, BenchReportsAClosedLoop) {
  const Ran ran =
      Run(RunBench, {"--layer=l0", "--tokens=1..9", "--batch=2", "--concurrency=4", "--warmup=0s",
                     "--duration=2s", "--check", "--channels=2", "--json=" + Path("r.json")});
  EXPECT_EQ(ran.exit, kOk) << ran.err << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("requests/s"));
  EXPECT_THAT(ran.out, HasSubstr("p99.9"));
  EXPECT_THAT(ran.out, HasSubstr("errors      none"));
  std::ifstream file(Path("r.json"));
  const auto json = nlohmann::json::parse(file);
  EXPECT_GT(json["good"], 0);
  EXPECT_EQ(json["latency_ms"]["count"], json["good"]);
  EXPECT_EQ(json["batch_requests"]["max"], 3);
  EXPECT_EQ(json["mode"], "closed");
  EXPECT_EQ(json["wrong"], 0);
}

TEST_F(CommandTest, BenchReportsAnOpenLoopWithErrorsByCode) {
  // The first call is the probe; every second call of the load is refused.
  server_.service.set_hook([](int call, grpc::ServerContext& context) {
    if (call % 2 == 1) return grpc::Status::OK;
    context.AddTrailingMetadata("grpc-retry-pushback-ms", "5");
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue full");
  });
  const Ran ran = Run(RunBench, {"--layer=l0", "--rate=1000", "--warmup=0s", "--duration=100ms",
                                 "--json=" + Path("r.json"), "--quiet"});
  EXPECT_EQ(ran.exit, kOk) << ran.err << ran.out;
  // Each answer has this warning; it is shown once.
  EXPECT_EQ(ran.err, "warning: set it \\x1b[2J\n");
  EXPECT_THAT(ran.out, HasSubstr("x RESOURCE_EXHAUSTED: queue full"));
  std::ifstream file(Path("r.json"));
  const auto json = nlohmann::json::parse(file);
  // Every planned request has ended once, whenever it was sent.
  EXPECT_EQ(json["good"].get<int>() + json["errors"]["RESOURCE_EXHAUSTED"].get<int>(), 100);
  EXPECT_EQ(json["error_latency_ms"]["count"], json["errors"]["RESOURCE_EXHAUSTED"]);
}

TEST_F(CommandTest, BenchFindsBitsThatChange) {
  class Changing : public v1::AttentionService::Service {
    grpc::Status ScaledDotProductAttention(
        grpc::ServerContext*, const v1::ScaledDotProductAttentionRequest* request,
        v1::ScaledDotProductAttentionResponse* response) override {
      *response->mutable_output() = request->query();
      (*response->mutable_output()->mutable_data())[0] = static_cast<char>(++count_);
      return grpc::Status::OK;
    }
    std::atomic<int> count_ = 0;
  } changing;
  class Info : public v1::ServerService::Service {
    grpc::Status GetServerInfo(grpc::ServerContext*, const v1::GetServerInfoRequest*,
                               v1::ServerInfo*) override {
      return grpc::Status::OK;
    }
  } info;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&changing);
  builder.RegisterService(&info);
  const auto server = builder.BuildAndStart();
  const Ran ran = RunCommand(
      RunBench, {"--operator", "--heads=1", "--head-dim=4", "--rate=2000", "--warmup=0s",
                 "--duration=100ms", "--check", absl::StrCat("--server=127.0.0.1:", port)});
  EXPECT_EQ(ran.exit, kFailed) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("WRONG"));
}

TEST_F(CommandTest, BenchSaysWhatIsWrong) {
  const auto error = [this](std::vector<std::string> arguments) {
    const Ran ran = Run(RunBench, std::move(arguments));
    EXPECT_EQ(ran.exit, kUsage) << ran.out;
    return ran.err;
  };
  EXPECT_THAT(error({"--rate=1", "--concurrency=2"}), HasSubstr("exclude"));
  EXPECT_THAT(error({"--rate=0"}), HasSubstr("--rate"));
  EXPECT_THAT(error({"--concurrency=0"}), HasSubstr("--concurrency"));
  EXPECT_THAT(error({"--poisson"}), HasSubstr("--poisson needs --rate"));
  EXPECT_THAT(error({"--tokens=5..2"}), HasSubstr("--tokens"));
  EXPECT_THAT(error({"--tokens=1..2..3"}), HasSubstr("--tokens"));
  EXPECT_THAT(error({"--tokens=0"}), HasSubstr("--tokens"));
  EXPECT_THAT(error({"--heads=2"}), HasSubstr("--heads needs --operator"));
  EXPECT_THAT(error({"--priority=urgent"}), HasSubstr("high, normal, low"));
  EXPECT_THAT(error({"--channels=0"}), HasSubstr("--channels"));
  EXPECT_THAT(error({"--max-attempts=0"}), HasSubstr("--max-attempts"));
  EXPECT_THAT(error({}), HasSubstr("choose with --layer"));
}

TEST_F(CommandTest, HelpOfEveryCommand) {
  for (const auto command : {RunLayers, RunInfo, RunHealth, RunCall, RunBench}) {
    const Ran ran = RunCommand(command, {"--help"});
    EXPECT_EQ(ran.exit, kOk);
    EXPECT_THAT(ran.out, HasSubstr("usage: attend "));
    EXPECT_THAT(ran.out, HasSubstr("--server=TARGET"));
    // Each option is explained by sentences, in 80 columns.
    const std::vector<std::string> lines = absl::StrSplit(ran.out, '\n');
    for (size_t i = 0; i < lines.size(); ++i) {
      EXPECT_LE(lines[i].size(), 80u) << lines[i];
      const bool last = i + 1 == lines.size() || !absl::StartsWith(lines[i + 1], "          ");
      if (absl::StartsWith(lines[i], "  ") && last) {
        EXPECT_TRUE(absl::EndsWith(lines[i], ".")) << lines[i];
      }
    }
  }
}

TEST(FormatLatencyTest, ThreeDigitsAndAUnit) {
  EXPECT_EQ(FormatLatency(absl::Nanoseconds(1234)), "1.23 us");
  EXPECT_EQ(FormatLatency(absl::Microseconds(45678)), "45.7 ms");
  EXPECT_EQ(FormatLatency(absl::Milliseconds(456)), "456 ms");
  EXPECT_EQ(FormatLatency(absl::Seconds(2)), "2.00 s");
}

}  // namespace
}  // namespace attend::cli
