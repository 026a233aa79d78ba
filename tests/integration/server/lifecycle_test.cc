// SPDX-License-Identifier: Apache-2.0

// Starting, refusing to start, draining and ending, seen from outside.

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "attend/v1/attention.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

std::string Request() {
  return OperatorRequest(4, 2, 8).SerializeAsString();
}

// Runs the program until it ends.
struct Ended {
  int code = 0;
  std::string output;
};
Ended RunProgram(const std::vector<std::string>& flags) {
  Process process(ATTEND_SERVER, flags);
  const int code = process.Wait();
  return {code, process.Output()};
}

TEST(LifecycleTest, AnswersOnTcpAndOnTheUnixSocket) {
  ServerProcess server;
  for (const std::string& target : {server.tcp(), server.unix_socket()}) {
    EXPECT_TRUE(
        MakeCall(ServerProcess::Channel(target), kScaledDotProductPath, Request()).status.ok());
  }
}

TEST(LifecycleTest, ComputesUniformAttentionAsTheMeanOfValues) {
  ServerProcess server;
  v1::ScaledDotProductAttentionRequest request = OperatorRequest(3, 1, 2);
  request.mutable_query()->mutable_data()->assign(3 * 2 * 4, '\0');
  const float values[] = {1, 10, 2, 20, 6, 60};
  request.mutable_value()->mutable_data()->assign(reinterpret_cast<const char*>(values),
                                                  sizeof(values));
  const CallResult result =
      MakeCall(server.Channel(), kScaledDotProductPath, request.SerializeAsString());
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  v1::ScaledDotProductAttentionResponse response;
  ASSERT_TRUE(response.ParseFromString(result.response));
  const auto* output = reinterpret_cast<const float*>(response.output().data().data());
  for (int row = 0; row < 3; ++row) {
    EXPECT_FLOAT_EQ(output[row * 2], 3);
    EXPECT_FLOAT_EQ(output[row * 2 + 1], 30);
  }
}

TEST(LifecycleTest, LogsThePrefetchThatItChose) {
  ServerProcess server;
  const std::string log = server.process().Output();
  const std::string choice = "\"(none|(first|second) level, [0-9]+ KiB ahead)\"";
  EXPECT_THAT(log, MatchesRegex("(.|\n)*chose prefetch decode=" + choice +
                                " projections=" + choice + "\n(.|\n)*"))
      << log;
}

TEST(LifecycleTest, LogsTheRatesThatItMeasured) {
  ServerProcess server;
  EXPECT_THAT(server.process().Output(),
              MatchesRegex("(.|\n)*measured rates attention=\"[^\"\n]*prefill [^\"\n]*; decode "
                           "[^\"\n]*; memory [^\"\n]*GB/s\"\n(.|\n)*"));
}

TEST(LifecycleTest, ComputesWithEachLayerBeforeItServesAndCountsNoRequestForIt) {
  ServerProcess server({"--random-layer=a:embed_dim=64,num_heads=2",
                        "--random-layer=b:embed_dim=32,num_heads=2,compute=f32"});
  EXPECT_THAT(server.process().Output(),
              MatchesRegex("(.|\n)*warmed up layers warm=\"2\" layers=\"2\" time=\"[^\"\n]*s\"\n"
                           "(.|\n)*listening(.|\n)*"));
  const std::map<std::string, double> metrics = server.Metrics();
  for (const char* name : {"attend_requests_total", "attend_layer_requests_total",
                           "attend_batch_requests_count", "attend_stage_duration_seconds_count",
                           "attend_executor_busy_seconds_total", "attend_in_flight_bytes"}) {
    EXPECT_EQ(Sum(metrics, name), 0) << name;
  }
}

TEST(LifecycleTest, ComputesEachLayerWithTheEngineThatItsOptionsOrTheFlagName) {
  ServerProcess server({"--matmul=panels", "--random-layer=a:embed_dim=64,num_heads=2",
                        "--random-layer=b:embed_dim=64,num_heads=2,matmul=onednn"});
  const std::string log = server.process().Output();
  EXPECT_THAT(log, MatchesRegex("(.|\n)*name=\"a\" [^\n]*matmul=\"panels\"(.|\n)*")) << log;
  EXPECT_THAT(log, MatchesRegex("(.|\n)*name=\"b\" [^\n]*matmul=\"onednn\"(.|\n)*")) << log;
}

TEST(LifecycleTest, LogsOneLinePerModel) {
  ServerProcess server({"--model=t5=" ATTEND_FAMILY_GOLDENS "/t5",
                        "--model=q=" ATTEND_FAMILY_GOLDENS "/qwen2:compute=f32"});
  const std::string log = server.process().Output();
  EXPECT_THAT(log, HasSubstr("loaded model name=\"t5\" family=\"t5\" layers=\"6\" "
                             "first=\"t5/encoder/0\" last=\"t5/decoder/1/cross\" "
                             "embed_dim=\"24\" heads=\"3\" kv_heads=\"3\" compute=\"f32\""));
  EXPECT_THAT(log, HasSubstr("loaded model name=\"q\" family=\"qwen2\" layers=\"2\" "));
  EXPECT_THAT(log, Not(HasSubstr("loaded layer")));
}

TEST(LifecycleTest, RefusesToStartOnATcpPortInUseAndNamesIt) {
  ServerProcess first;
  const Ended second =
      RunProgram({absl::StrCat("--listen=", first.tcp()), "--metrics-listen=127.0.0.1:0"});
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.output, HasSubstr(first.tcp()));
  EXPECT_THAT(second.output, HasSubstr("in use"));
}

TEST(LifecycleTest, RefusesToStartOnAUnixSocketInUseAndLeavesItAlone) {
  ServerProcess first;
  const Ended second =
      RunProgram({absl::StrCat("--listen=", first.unix_socket()), "--metrics-listen=127.0.0.1:0"});
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.output, HasSubstr(first.unix_socket()));
  EXPECT_TRUE(
      MakeCall(ServerProcess::Channel(first.unix_socket()), kScaledDotProductPath, Request())
          .status.ok());
}

TEST(LifecycleTest, TakesOverAUnixSocketThatADeadServerLeft) {
  const std::string socket = absl::StrCat("unix:", TestPath("stale"));
  {
    ServerProcess first({absl::StrCat("--listen=", socket)});
    first.process().Signal(SIGKILL);
    first.process().Wait();
  }
  ASSERT_TRUE(std::filesystem::exists(TestPath("stale")));
  ServerProcess second({absl::StrCat("--listen=", socket)});
  EXPECT_TRUE(
      MakeCall(ServerProcess::Channel(socket), kScaledDotProductPath, Request()).status.ok());
}

TEST(LifecycleTest, RefusesToStartOnAMetricsPortInUse) {
  ServerProcess first;
  const Ended second = RunProgram(
      {"--listen=127.0.0.1:0", absl::StrCat("--metrics-listen=", first.metrics_address())});
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.output, HasSubstr(first.metrics_address()));
}

TEST(LifecycleTest, RefusesToStartWithAWrongSettingAndNamesIt) {
  const Ended wrong = RunProgram({"--workers=many", "--batching=yes"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.output, MatchesRegex("attend-server: --workers: [^\n]*\n"
                                         "attend-server: --batching: [^\n]*\n"));
  const Ended model = RunProgram({"--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
                                  "--model=m=/does/not/exist", "--model=n=/neither/does/this"});
  EXPECT_EQ(model.code, 1);
  EXPECT_THAT(model.output, MatchesRegex("(.|\n)*cannot start [^\n]*/does/not/exist[^\n]*\n"
                                         "[^\n]*cannot start [^\n]*/neither/does/this[^\n]*\n"));
}

TEST(LifecycleTest, PrintsHelpVersionAndConfiguration) {
  EXPECT_THAT(RunProgram({"--help"}).output, HasSubstr("--max-queue-requests=N"));
  EXPECT_THAT(RunProgram({"--version"}).output, HasSubstr("attend-server 0."));
  const Ended config = RunProgram({"--print-config", "--workers=2"});
  EXPECT_EQ(config.code, 0);
  EXPECT_THAT(config.output, HasSubstr("workers = 2\n"));
}

TEST(LifecycleTest, GivesItsUnixSocketTheModeThatIsSet) {
  const ServerProcess server({"--unix-socket-mode=0620"});
  const std::string path = server.unix_socket().substr(std::string("unix:").size());
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0620});
}

TEST(LifecycleTest, RemovesItsPortFileAtTheEnd) {
  const std::string path = TestPath("ports-of-one");
  Process process(ATTEND_SERVER, {"--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
                                  "--drain-delay=0s", absl::StrCat("--port-file=", path)});
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(path); }));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(LifecycleTest, LogsJsonLinesWhereAsked) {
  ServerProcess server({"--log-format=json"});
  EXPECT_THAT(server.process().Output(),
              HasSubstr("\"level\":\"info\",\"message\":\"listening\",\"address\":\"127.0.0.1:"));
}

// Every line of the output as JSON; fails where one is not.
std::vector<nlohmann::json> ReadJsonLines(const std::string& output) {
  std::vector<nlohmann::json> lines;
  for (const absl::string_view line : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    lines.push_back(nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false));
    EXPECT_TRUE(lines.back().is_object()) << line;
  }
  return lines;
}

TEST(LifecycleTest, LogsWhyItCannotStartAsJsonWhereAsked) {
  const Ended setting = RunProgram({"--workers=\x1b[2J\xff", "--log-format", "json"});
  EXPECT_EQ(setting.code, 2);
  const std::vector<nlohmann::json> refused = ReadJsonLines(setting.output);
  ASSERT_EQ(refused.size(), 1u) << setting.output;
  EXPECT_EQ(refused[0]["level"], "error");
  EXPECT_THAT(refused[0]["reason"].get<std::string>(), HasSubstr("--workers"));
  // A format in a file did not count.
  const std::string file = TestPath("json.conf");
  std::ofstream(file) << "log-format = json\nworkers = none\n";
  const Ended in_file = RunProgram({absl::StrCat("--config=", file)});
  EXPECT_EQ(in_file.code, 2);
  const std::vector<nlohmann::json> lines = ReadJsonLines(in_file.output);
  ASSERT_EQ(lines.size(), 1u) << in_file.output;
  EXPECT_THAT(lines[0]["reason"].get<std::string>(), HasSubstr("json.conf:2: workers"));
  const Ended model = RunProgram({"--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
                                  "--log-format=json", "--model=m=/does/not/exist"});
  EXPECT_EQ(model.code, 1);
  const std::vector<nlohmann::json> started = ReadJsonLines(model.output);
  ASSERT_FALSE(started.empty());
  EXPECT_EQ(started.back()["message"], "cannot start");
  EXPECT_THAT(started.back()["reason"].get<std::string>(), HasSubstr("/does/not/exist"));
}

TEST(LifecycleTest, AnswersTheHealthCheckOfTheProgramItself) {
  ServerProcess server;
  EXPECT_EQ(RunProgram({absl::StrCat("--healthcheck=", server.tcp())}).code, 0);
  EXPECT_EQ(RunProgram({absl::StrCat("--healthcheck=", server.unix_socket())}).code, 0);
  EXPECT_EQ(RunProgram({"--healthcheck", server.tcp()}).code, 0);
  EXPECT_EQ(RunProgram({"--healthcheck", absl::StrCat("--listen=", server.tcp())}).code, 0);
  server.process().Signal(SIGTERM);
  server.process().Wait();
  EXPECT_EQ(RunProgram({absl::StrCat("--healthcheck=", server.tcp())}).code, 1);
}

// Its text would otherwise clear the screen, hide text, or add lines of its own.
TEST(LifecycleTest, EscapesWhatThePeerOfAHealthCheckSays) {
  class Hostile : public grpc::health::v1::Health::Service {
    grpc::Status Check(grpc::ServerContext*, const HealthCheckRequest*,
                       HealthCheckResponse*) override {
      return {grpc::StatusCode::INTERNAL, "x\x1b[2J\u202e\nattend-server: all is well"};
    }
  } hostile;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&hostile);
  const std::unique_ptr<grpc::Server> peer = builder.BuildAndStart();
  const std::string address = absl::StrCat("127.0.0.1:", port);
  const Ended ended = RunProgram({absl::StrCat("--healthcheck=", address)});
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.output, absl::StrCat("attend-server: ", address,
                                       ": \"x\\u001b[2J\\u202e\\nattend-server: all is well\"\n"));
}

TEST(LifecycleTest, KeepsAnsweringWhileItSaysNotServing) {
  ServerProcess server({"--drain-delay=60s"});
  const auto channel = server.Channel();
  const auto health = grpc::health::v1::Health::NewStub(channel);
  server.process().Signal(SIGTERM);
  ASSERT_TRUE(Eventually([&] {
    grpc::ClientContext context;
    HealthCheckResponse response;
    return health->Check(&context, {}, &response).ok() &&
           response.status() == HealthCheckResponse::NOT_SERVING;
  }));
  EXPECT_TRUE(MakeCall(channel, kScaledDotProductPath, Request()).status.ok());
}

TEST(LifecycleTest, ExitsAtOnceOnTheSecondSignal) {
  ServerProcess server({"--drain-delay=60s"});
  server.process().Signal(SIGTERM);
  ASSERT_TRUE(Eventually([&] { return HttpGet(server.metrics_address(), "/readyz").code == 503; }));
  server.process().Signal(SIGINT);
  EXPECT_EQ(server.process().Wait(), 128 + SIGINT);
}

TEST(LifecycleTest, ExitsWithZeroOnSigtermAndSigint) {
  for (const int signal : {SIGTERM, SIGINT}) {
    ServerProcess server;
    server.process().Signal(signal);
    EXPECT_EQ(server.process().Wait(), 0) << server.process().Output();
  }
}

// An open Watch must not delay the end.
TEST(LifecycleTest, TellsWatchersOfTheDrainAndEndsTheirStreams) {
  ServerProcess server({"--drain-delay=500ms"});
  const auto health = grpc::health::v1::Health::NewStub(server.Channel());
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("attend.v1.AttentionService");
  const auto watch = health->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  server.process().Signal(SIGTERM);
  int told = 0;
  for (; watch->Read(&response); ++told) {
    EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  }
  EXPECT_GE(told, 1);
  EXPECT_FALSE(watch->Finish().ok());
  EXPECT_EQ(server.process().Wait(), 0);
}

// Callers keep calling while the server leaves, as in every deployment: a code that they do not
// retry would be a lost request.
TEST(LifecycleTest, EndsEveryCallWithOkOrUnavailableWhileItLeaves) {
  for (int round = 0; round < 5; ++round) {
    ServerProcess server;
    std::atomic<bool> gone{false};
    std::atomic<int> answered{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&, i] {
        const auto stub = v1::AttentionService::NewStub(
            ServerProcess::Channel(i % 2 == 0 ? server.tcp() : server.unix_socket()));
        while (!gone) {
          grpc::ClientContext context;
          v1::ScaledDotProductAttentionResponse response;
          const grpc::Status status =
              stub->ScaledDotProductAttention(&context, OperatorRequest(4, 2, 8), &response);
          if (status.ok()) {
            ++answered;
          } else {
            EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
          }
        }
      });
    }
    EXPECT_TRUE(Eventually([&] { return answered >= 40; }));
    server.process().Signal(SIGTERM);
    EXPECT_EQ(server.process().Wait(), 0);
    gone = true;
    for (std::thread& caller : callers) caller.join();
  }
}

TEST(HealthTest, KnowsTheServerAndEachService) {
  ServerProcess server;
  const auto health = grpc::health::v1::Health::NewStub(server.Channel());
  for (const char* service :
       {"", "attend.v1.AttentionService", "attend.v1.LayerService", "attend.v1.ServerService"}) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    ASSERT_TRUE(health->Check(&context, request, &response).ok()) << service;
    EXPECT_EQ(response.status(), HealthCheckResponse::SERVING) << service;
  }
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("none");
  HealthCheckResponse response;
  EXPECT_EQ(health->Check(&context, request, &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace attend
