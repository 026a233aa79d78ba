// SPDX-License-Identifier: Apache-2.0
#include "server/config/command_line.h"

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/config_errors.h"
#include "server/config/config_file.h"
#include "server/config/setting_types.h"
#include "server/config/settings.h"

namespace attend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

absl::StatusOr<CommandLine> Parse(std::vector<const char*> arguments,
                                  std::map<std::string, std::string> environment = {}) {
  return ParseCommandLine(arguments, [&](const std::string& name) -> const char* {
    const auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  });
}

void ExpectRefused(const absl::StatusOr<CommandLine>& line, const std::string& name,
                   const std::string& text) {
  ASSERT_EQ(line.status().code(), absl::StatusCode::kInvalidArgument) << line.status();
  EXPECT_THAT(std::string(line.status().message()), HasSubstr(name));
  EXPECT_THAT(std::string(line.status().message()), HasSubstr(text));
}

std::string WriteFile(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "command_line_test_" + name;
  std::ofstream(path) << text;
  return path;
}

std::string ErrorOf(const absl::StatusOr<CommandLine>& line) {
  EXPECT_EQ(line.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(line.status().message());
}

TEST(CommandLineTest, ServesByDefault) {
  const auto line = Parse({});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kServe);
  EXPECT_THAT(line->config.listen, ElementsAre("localhost:50051"));
}

TEST(CommandLineTest, DrainsByDefaultForAsLongAsACallMayTake) {
  const LifecycleConfig lifecycle;
  EXPECT_GE(lifecycle.drain_timeout, lifecycle.max_deadline);
}

TEST(CommandLineTest, TakesValuesBehindAnEqualsSignOrAsTheNextArgument) {
  const auto line = Parse({"--workers=3", "--max-queue-requests", "7"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.engine.num_workers, 3);
  EXPECT_EQ(line->config.engine.max_queue_requests, 7);
}

TEST(CommandLineTest, AFlagWinsOverItsVariableAndThatOverTheDefault) {
  const std::map<std::string, std::string> environment = {{"ATTEND_WORKERS", "5"},
                                                          {"ATTEND_MAX_DEADLINE", "3s"}};
  const auto line = Parse({"--workers=3"}, environment);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.engine.num_workers, 3);
  EXPECT_EQ(line->config.lifecycle.max_deadline, absl::Seconds(3));
}

TEST(CommandLineTest, AnEmptyVariableCountsAsNotSet) {
  const auto line = Parse({}, {{"ATTEND_WORKERS", ""}});
  ASSERT_TRUE(line.ok()) << line.status();
}

TEST(CommandLineTest, RepeatsAFlagOrSeparatesAVariable) {
  auto line = Parse({"--listen=127.0.0.1:1", "--listen=unix:/s"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->config.listen, ElementsAre("127.0.0.1:1", "unix:/s"));
  line = Parse({}, {{"ATTEND_LISTEN", "[::1]:1;unix:/s"}});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->config.listen, ElementsAre("[::1]:1", "unix:/s"));
  line = Parse({"--listen=127.0.0.1:9"}, {{"ATTEND_LISTEN", "[::1]:1;unix:/s"}});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->config.listen, ElementsAre("127.0.0.1:9"));
}

TEST(CommandLineTest, RefusesUnknownFlagsAndStrayArguments) {
  ExpectRefused(Parse({"--listne=1"}), "--listne", "not a flag");
  ExpectRefused(Parse({"serve"}), "serve", "not a flag");
  ExpectRefused(Parse({"--"}), "", "not a flag");
  ExpectRefused(Parse({"--help=yes"}), "--help", "not a flag");
}

TEST(CommandLineTest, RefusesAFlagGivenTwiceOrWithoutValue) {
  ExpectRefused(Parse({"--workers=1", "--workers=2"}), "--workers", "twice");
  ExpectRefused(Parse({"--workers"}), "--workers", "needs a value");
}

TEST(CommandLineTest, NamesTheSettingWhoseValueIsWrong) {
  const std::vector<std::vector<const char*>> wrong = {
      {"--workers=many"},
      {"--workers=-1"},
      {"--executors=-1"},
      {"--batching=yes"},
      {"--max-request-bytes=12XB"},
      {"--max-request-bytes=1"},
      {"--max-deadline=0s"},
      {"--max-deadline=fast"},
      {"--listen=50051"},
      {"--listen=host:99999"},
      {"--listen=::1:50051"},
      {"--listen=unix:"},
      {"--metrics-listen=x"},
      {"--log-format=xml"},
      {"--log-level=loud"},
      {"--otlp-endpoint=localhost:4317"},
      {"--long-share=nan"},
      {"--batch-target=0s"},
      {"--max-request-compute=0s"},
      {"--model=x"},
      {"--random-layer=x"},
      {"--max-concurrent-streams=0"},
      {"--matmul=fast"},
      {"--max-connection-age=720h"},
      {"--max-heads=0"},
      {"--max-heads=65537"},
      {"--max-response-bytes=0"},
  };
  for (const std::vector<const char*>& arguments : wrong) {
    const std::string name =
        std::string(arguments[0]).substr(0, std::string(arguments[0]).find('='));
    ExpectRefused(Parse(arguments), name + ":", "");
  }
  ExpectRefused(Parse({}, {{"ATTEND_LOG_FORMAT", "xml"}}), "ATTEND_LOG_FORMAT",
                "must be text or json; got \"xml\"");
}

TEST(CommandLineTest, RefusesMessagesThatNoClientCouldParse) {
  for (const std::string name :
       {"--max-request-bytes", "--max-response-bytes", "--max-weights-bytes"}) {
    const std::string value = name + "=2GiB";
    ExpectRefused(Parse({value.c_str()}), name + ":", "\"2GiB\" is more than");
  }
  EXPECT_TRUE(Parse({"--max-response-bytes=2097151KiB"}).ok());
}

TEST(CommandLineTest, TakesZeroForSizesThatAreChosenAtStart) {
  for (const std::string name :
       {"--max-request-bytes", "--max-receive-bytes", "--max-in-flight-bytes"}) {
    EXPECT_TRUE(Parse({(name + "=0").c_str()}).ok());
    ExpectRefused(Parse({(name + "=1").c_str()}), name + ":", "\"1\" is less than");
  }
}

TEST(CommandLineTest, ReadsModesAsOctal) {
  const auto parse = [](const char* mode) { return Parse({"--listen=unix:/s", mode}); };
  const auto line = parse("--unix-socket-mode=660");
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.unix_socket_mode, 0660);
  EXPECT_THAT(ConfigText(line->config), HasSubstr("\nunix-socket-mode = 0660\n"));
  EXPECT_EQ(parse("--unix-socket-mode=")->config.unix_socket_mode, std::nullopt);
  for (const char* wrong : {"0680", "01660", "-1", "0o660", "0660 ", "u=rw"}) {
    const std::string flag = absl::StrCat("--unix-socket-mode=", wrong);
    ExpectRefused(parse(flag.c_str()), "--unix-socket-mode", absl::StrCat("\"", wrong, "\" "));
  }
  ExpectRefused(parse("--unix-socket-mode=0888"), "--unix-socket-mode",
                "\"0888\" is not an octal mode such as 0660, at most 0777");
}

TEST(CommandLineTest, RefusesSettingsThatContradictEachOther) {
  ExpectRefused(Parse({"--unix-socket-mode=0660"}), "--unix-socket-mode",
                "needs --listen=unix:PATH");
  ExpectRefused(Parse({"--tls-cert=x"}), "--tls-key", "together");
  ExpectRefused(Parse({"--tls-client-ca=x"}), "--tls-client-ca", "needs");
  ExpectRefused(Parse({"--tls-min-version=1.3"}), "--tls-min-version", "needs");
  ExpectRefused(Parse({"--tls-min-version=1.1"}), "--tls-min-version", "must be 1.2 or 1.3");
  ExpectRefused(Parse({"--max-in-flight-bytes=1MiB", "--max-request-bytes=1MiB"}),
                "--max-request-bytes", "never run");
  // The engine retains an eighth.
  ExpectRefused(Parse({"--workers=2", "--max-in-flight-bytes=40MiB", "--max-request-bytes=36MiB"}),
                "36700160 bytes that --max-in-flight-bytes=41943040 leaves", "never run");
  ExpectRefused(Parse({"--max-request-bytes=256MiB", "--max-receive-bytes=511MiB"}),
                "--max-receive-bytes", "at least twice");
  ExpectRefused(Parse({"--network-threads=1"}), "--network-threads", "at least 2");
  ExpectRefused(Parse({"--workers=2", "--executors=3"}),
                "--executors:", "3 executors need one worker each; there are 2 workers");
  EXPECT_EQ(Parse({"--workers=2", "--executors=2"})->config.engine.executors, 2);
}

TEST(CommandLineTest, TakesPlainTextOfOtherMachinesOnlyWhereToldTo) {
  for (const char* local : {"localhost:1", "127.0.0.1:1", "127.3.2.1:0", "[::1]:1", "unix:/s"}) {
    EXPECT_TRUE(Parse({"--listen", local}).ok()) << local;
  }
  for (const char* open :
       {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.com:1", "128.0.0.1:1", "127.example.com:1"}) {
    ExpectRefused(Parse({"--listen", open}), std::string("--listen=") + open, "--insecure=on");
    EXPECT_TRUE(Parse({"--listen", open, "--insecure=on"}).ok()) << open;
    EXPECT_TRUE(Parse({"--listen", open, "--tls-cert=c", "--tls-key=k"}).ok()) << open;
  }
}

TEST(CommandLineTest, SendsSpansToOtherMachinesAsPlainTextOnlyWhereToldTo) {
  for (const char* fine : {"http://localhost", "http://127.0.0.1:1", "http://[::1]:1",
                           "https://collector.example:4317", ""}) {
    EXPECT_TRUE(Parse({"--otlp-endpoint", fine}).ok()) << fine;
  }
  for (const char* open :
       {"http://collector.example:4317", "http://10.0.0.1:1", "http://[::2]:1"}) {
    ExpectRefused(Parse({"--otlp-endpoint", open}), std::string("--otlp-endpoint=") + open,
                  "--insecure=on");
    EXPECT_TRUE(Parse({"--otlp-endpoint", open, "--insecure=on"}).ok()) << open;
  }
  EXPECT_EQ(Parse({}, {{"ATTEND_OTLP_ENDPOINT", "http://localhost"}})
                ->config.telemetry.otlp_endpoint->address,
            "localhost:4317");
  EXPECT_FALSE(Parse({})->config.telemetry.otlp_endpoint.has_value());
}

TEST(CommandLineTest, KnowsWhatElseItMayBeAsked) {
  EXPECT_EQ(Parse({"--help"})->action, CommandLine::Action::kHelp);
  EXPECT_EQ(Parse({"--version"})->action, CommandLine::Action::kVersion);
  EXPECT_EQ(Parse({"--print-config"})->action, CommandLine::Action::kPrintConfig);
  EXPECT_EQ(Parse({"--healthcheck"})->action, CommandLine::Action::kHealthCheck);
  EXPECT_EQ(Parse({"--healthcheck=unix:/s"})->health_check_target, "unix:/s");
}

TEST(CommandLineTest, TakesTheShortFormOfHelpAndATargetAsTheNextArgument) {
  EXPECT_EQ(Parse({"-h"})->action, CommandLine::Action::kHelp);
  const auto line = Parse({"--healthcheck", "127.0.0.1:1", "--workers=2"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->health_check_target, "127.0.0.1:1");
  EXPECT_EQ(line->config.engine.num_workers, 2);
  EXPECT_EQ(Parse({"--healthcheck", "--workers=2"})->health_check_target, "");
}

TEST(CommandLineTest, AnswersHelpAndVersionWhateverElseIsWrong) {
  EXPECT_TRUE(Parse({"--workers=many", "--help"}, {{"ATTEND_BATCHING", "x"}}).ok());
  EXPECT_TRUE(Parse({"--version", "--config=/no/such/file"}).ok());
}

TEST(CommandLineTest, ReportsAllErrorsAtOnceOnePerLine) {
  const auto line =
      Parse({"--workers=many", "--listne", "x", "stray", "--batching=yes", "--tls-client-ca=x",
             "--network-threads=1", "--listen=0.0.0.0:1", "--max-request-bytes=1GiB",
             "--otlp-endpoint=http://collector:4317", "--max-in-flight-bytes=12XB", "--long-share"},
            {{"ATTEND_LOG_FORMAT", "xml"}});
  EXPECT_THAT(
      std::vector<std::string>(absl::StrSplit(ErrorOf(line), '\n')),
      ElementsAre(
          "--listne is not a flag; see --help", "\"stray\" is not a flag; see --help",
          "ATTEND_LOG_FORMAT: must be text or json; got \"xml\"",
          "--workers: \"many\" is not a number from 0 to 1024",
          "--batching: \"yes\" is neither on nor off",
          "--max-in-flight-bytes: \"12XB\" is not a number of bytes such as 1048576 or 1MiB",
          HasSubstr("--long-share needs a value: X"),
          "--tls-client-ca needs --tls-cert and --tls-key", HasSubstr("--listen=0.0.0.0:1 takes"),
          HasSubstr("--otlp-endpoint=http://collector:4317 sends"),
          HasSubstr("--network-threads: must be 0 or at least 2")));
}

TEST(CommandLineTest, ComparesNoSettingThatHasNoUsableValue) {
  EXPECT_EQ(ErrorOf(Parse({"--workers=many", "--executors=1000"})),
            "--workers: \"many\" is not a number from 0 to 1024");
  EXPECT_THAT(ErrorOf(Parse({"--listen=50051"})), Not(HasSubstr("none is given")));
  EXPECT_THAT(ErrorOf(Parse({"--max-request-bytes=64MiB", "--max-in-flight-bytes=16MiB",
                             "--max-receive-bytes=x"})),
              Not(HasSubstr("never run")));
}

TEST(CommandLineTest, ReportsEveryPairOfSizesThatDoesNotFit) {
  const std::string error = ErrorOf(Parse(
      {"--max-request-bytes=64MiB", "--max-in-flight-bytes=16MiB", "--max-receive-bytes=32MiB"}));
  EXPECT_THAT(error, HasSubstr("never run\n--max-receive-bytes="));
}

TEST(CommandLineTest, AFileIsWonOverByTheEnvironmentAndThatByFlags) {
  const std::string path = WriteFile(
      "precedence",
      "# numbers\nworkers = 3\n\n  max-queue-requests=4  \nmax-calls = 5\r\n"
      "listen = [::1]:1\nlisten = unix:/a b\nmetrics-listen =\nmodel = m=/p#q:compute=bf16\n");
  const std::string flag = "--config=" + path;
  const std::map<std::string, std::string> environment = {{"ATTEND_MAX_QUEUE_REQUESTS", "14"},
                                                          {"ATTEND_MAX_CALLS", "15"}};
  auto line = Parse({"--max-calls=25", flag.c_str()}, environment);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.engine.num_workers, 3);
  EXPECT_EQ(line->config.engine.max_queue_requests, 14);
  EXPECT_EQ(line->config.transport.max_calls, 25);
  EXPECT_THAT(line->config.listen, ElementsAre("[::1]:1", "unix:/a b"));
  EXPECT_EQ(line->config.telemetry.metrics_listen, "");
  EXPECT_EQ(line->config.layers.models.at(0).path, "/p#q");
  line = Parse({"--config", path.c_str(), "--listen=unix:/c"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->config.listen, ElementsAre("unix:/c"));
  line = Parse({}, {{"ATTEND_CONFIG", path}});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.engine.num_workers, 3);
  line = Parse({flag.c_str()}, {{"ATTEND_CONFIG", "/no/such/file"}});
  EXPECT_TRUE(line.ok()) << line.status();
}

TEST(CommandLineTest, NamesFileAndLineOfEveryError) {
  const std::string path = WriteFile(
      "wrong", "workers = many\n# fine\nworker = 1\nbatching\nmax-calls = 1\nmax-calls = 2\n");
  const std::string error = ErrorOf(Parse({("--config=" + path).c_str(), "--long-share=2"}));
  EXPECT_EQ(error,
            path + ":1: workers: \"many\" is not a number from 0 to 1024\n" + path +
                ":3: \"worker\" is not a setting; --help lists them, without -- in a file\n" +
                path + ":4: \"batching\" must be NAME = VALUE, or begin with #\n" + path +
                ":6: max-calls is given twice\n" +
                "--long-share: \"2\" is not a number from 0 to 0.9");
}

TEST(CommandLineTest, RefusesAFileThatCannotBeRead) {
  ExpectRefused(Parse({"--config=/no/such/file"}), "--config=/no/such/file",
                "cannot be read: No such file");
  ExpectRefused(Parse({"--config=/"}), "--config=/", "cannot be read: Is a directory");
  ExpectRefused(Parse({"--config="}), "--config", "needs a value");
  ExpectRefused(Parse({"--config"}), "--config", "needs a value");
  ExpectRefused(Parse({"--config=a", "--config=b"}), "--config", "twice");
}

TEST(CommandLineTest, RefusesValuesThatAFileCouldNotHold) {
  for (const char* value : {"--tls-key= k", "--tls-key=k\t", "--port-file=a\nworkers = 1"}) {
    ExpectRefused(Parse({value}), "", "must not begin or end with white space");
  }
}

// Each setting has a value of its own, other than its default, so that none can be lost.
TEST(CommandLineTest, ReadsBackEverySettingThatItPrints) {
  const std::map<absl::string_view, std::string> text_values = {
      {"listen", "unix:/some where"},
      {"model", "m=/p:compute=bf16"},
      {"random-layer", "r:embed_dim=64,num_heads=4"},
      {"matmul", "panels"},
      {"metrics-listen", ""},
      {"log-format", "json"},
      {"log-level", "error"},
      {"tls-min-version", "1.3"},
      {"otlp-endpoint", "https://collector:4317"}};
  ServerConfig config;
  std::vector<Setting> settings = MakeSettings(config);
  for (Setting& setting : settings) {
    const std::vector<std::string> before = setting.get();
    const auto listed = text_values.find(setting.name);
    if (setting.repeatable) setting.clear();
    bool set = false;
    for (const std::string& value :
         {listed == text_values.end() ? "/own#" + std::string(setting.name) : listed->second,
          std::string("on"), std::string("off"), std::string("3"), std::string("1234KiB"),
          std::string("1234ms"), std::string("0.5"), std::string("2s")}) {
      if (setting.set(value).ok() && setting.get() != before) {
        set = true;
        break;
      }
    }
    ASSERT_TRUE(set) << setting.name << " has no value to try";
  }
  const std::string text = ConfigText(config);
  ServerConfig again;
  std::vector<Setting> read = MakeSettings(again);
  ConfigErrors errors;
  ReadConfigText(text, "printed", read, errors);
  EXPECT_TRUE(errors.status().ok()) << errors.status();
  for (size_t i = 0; i < settings.size(); ++i) {
    EXPECT_EQ(read[i].get(), settings[i].get()) << settings[i].name;
  }
}

TEST(CommandLineTest, PrintsAConfigurationThatReadsBackTheSame) {
  const auto line = Parse({"--random-layer=r:embed_dim=64,num_heads=4",
                           "--random-layer=s:embed_dim=64,num_heads=4,scale=1,softcap=0.1,"
                           "window_left=0,window_right=3,qk_norm=on,rotary_dim=8,"
                           "rotary_theta=1234567.8,rotary_interleaved=on,relative_buckets=8",
                           "--random-layer=t:embed_dim=64,num_heads=4,matmul=auto",
                           "--model=m=/path", "--model=n=/path:matmul=onednn", "--matmul=panels",
                           "--listen=[::1]:1", "--listen=unix:/s", "--long-share=0.5",
                           "--batch-target=3ms", "--max-request-compute=1500ms",
                           "--max-request-bytes=1000000", "--drain-delay=1500ms"});
  ASSERT_TRUE(line.ok()) << line.status();
  const std::string text = ConfigText(line->config);
  const auto again = Parse({absl::StrCat("--config=", WriteFile("printed", text)).c_str()});
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << text;
  EXPECT_EQ(ConfigText(again->config), text);
}

TEST(CommandLineTest, ByDefaultARequestMayComputeForAsLongAsACallMayTake) {
  const ServerConfig config = Parse({})->config;
  EXPECT_EQ(config.engine.max_request_compute, config.lifecycle.max_deadline);
}

TEST(CommandLineTest, HelpNamesEverySettingAndItsDefault) {
  ServerConfig config;
  const std::string help = HelpText();
  for (const Setting& setting : MakeSettings(config)) {
    EXPECT_THAT(help, HasSubstr("--" + std::string(setting.name) + "="));
    for (const std::string& value : setting.get()) EXPECT_THAT(help, HasSubstr(value));
  }
}

TEST(SettingTypesTest, ReadsAndWritesBytesWithUnits) {
  EXPECT_EQ(*ParseBytes("17"), 17);
  EXPECT_EQ(*ParseBytes("3KiB"), 3 << 10);
  EXPECT_EQ(*ParseBytes("2GiB"), int64_t{2} << 30);
  EXPECT_FALSE(ParseBytes("9000000000GiB").ok());
  EXPECT_FALSE(ParseBytes("MiB").ok());
  EXPECT_FALSE(ParseBytes("-1").ok());
  EXPECT_EQ(FormatBytes(3 << 10), "3KiB");
  EXPECT_EQ(FormatBytes(1001), "1001");
  EXPECT_EQ(FormatBytes(0), "0");
}

TEST(SettingsTest, NamesVariablesAfterTheFlags) {
  EXPECT_EQ(EnvironmentName("max-request-bytes"), "ATTEND_MAX_REQUEST_BYTES");
}

TEST(PublicSettingsTest, TellsNoPath) {
  ServerConfig config;
  config.listen = {"unix:/run/secret.sock"};
  config.tls.key_file = "/etc/secret.key";
  config.layers.models.push_back({.name = "m", .path = "/models/secret"});
  std::map<std::string, std::string> settings;
  for (const auto& [name, value] : PublicSettings(config)) {
    EXPECT_THAT(value, testing::Not(HasSubstr("secret"))) << name;
    settings[name] = value;
  }
  EXPECT_EQ(settings.at("tls-key"), "(a file)");
  EXPECT_EQ(settings.at("tls-cert"), "");
  EXPECT_EQ(settings.at("model"), "m");
  EXPECT_EQ(settings.at("listen"), "unix:");
  EXPECT_EQ(settings.at("max-heads"), "1024");
}

}  // namespace
}  // namespace attend
