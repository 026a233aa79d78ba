// SPDX-License-Identifier: Apache-2.0

// attend-server: see --help.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "server/config/command_line.h"
#include "server/config/config_file.h"
#include "server/lifecycle/freed_memory.h"
#include "server/lifecycle/health_check.h"
#include "server/lifecycle/server.h"
#include "server/lifecycle/signals.h"
#include "server/telemetry/grpc_log.h"
#include "server/telemetry/log.h"
#include "server/telemetry/request_log.h"
#include "server/telemetry/request_report.h"
#include "server/telemetry/span_exporter.h"
#include "server/telemetry/span_sender.h"
#include "server/version.h"

namespace attend {
namespace {

// Beside EXIT_SUCCESS, EXIT_FAILURE and 128 + the number of a second signal; see --help.
constexpr int kExitWrongConfiguration = 2;

// Of the start, for whoever reads the log: one line per error.
void LogFailedStart(const absl::Status& status) {
  for (const absl::string_view reason : absl::StrSplit(status.message(), '\n')) {
    Log(LogLevel::kError, "cannot start", {{"reason", std::string(reason)}});
  }
}

// Of a command, for whoever typed it: one line per error.
void Print(const absl::Status& status) {
  for (const absl::string_view error : absl::StrSplit(status.message(), '\n')) {
    std::fprintf(stderr, "attend-server: %s\n", std::string(error).c_str());
  }
}

// Serves until a signal comes. The server is gone when this returns.
int ServeUntilSignal(const ServerConfig& config) {
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(config);
  if (!server.ok()) {
    LogFailedStart(server.status());
    return EXIT_FAILURE;
  }
  const int signal = WaitForShutdownSignal([&server] { (*server)->ReloadLayers(); });
  Log(LogLevel::kInfo, "signal received", {{"signal", absl::StrCat(signal)}});
  (*server)->Drain();
  return EXIT_SUCCESS;
}

int Serve(const ServerConfig& config) {
  // Debian builds Abseil so that it searches for deadlocks at every lock that gRPC takes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  BlockShutdownSignals();
  BoundFreedMemory();
  SetUpLog(config.telemetry.log_format, config.telemetry.log_level);
  SetUpRequestLog(config.telemetry.request_log);
  TakeGrpcLog();
  Log(LogLevel::kInfo, "starting", {{"version", kVersion}, {"revision", kRevision}});
  const std::optional<Endpoint>& collector = config.telemetry.otlp_endpoint;
  if (!collector) return ServeUntilSignal(config);
  Log(LogLevel::kInfo, "exporting spans", {{"collector", FormatEndpoint(*collector)}});
  SpanExporter exporter(MakeOtlpSender(*collector), Clock::Steady());
  SetSpanExporter(&exporter);
  const int code = ServeUntilSignal(config);
  SetSpanExporter(nullptr);
  return code;
}

int Main(int argc, char** argv) {
  const auto arguments =
      absl::MakeConstSpan(argv + 1, static_cast<size_t>(argc > 0 ? argc - 1 : 0));
  const Environment environment = [](const std::string& name) -> const char* {
    return std::getenv(name.c_str());
  };
  LogFormat log_format = LogFormat::kText;
  const absl::StatusOr<CommandLine> line = ParseCommandLine(arguments, environment, &log_format);
  if (!line.ok()) {
    if (log_format == LogFormat::kText) {
      Print(line.status());
    } else {
      SetUpLog(log_format, LogLevel::kInfo);
      LogFailedStart(line.status());
    }
    return kExitWrongConfiguration;
  }
  switch (line->action) {
    case CommandLine::Action::kHelp:
      std::fputs(HelpText().c_str(), stdout);
      return EXIT_SUCCESS;
    case CommandLine::Action::kVersion:
      std::printf("attend-server %s\n", kVersion);
      return EXIT_SUCCESS;
    case CommandLine::Action::kPrintConfig:
      std::fputs(ConfigText(line->config).c_str(), stdout);
      return EXIT_SUCCESS;
    case CommandLine::Action::kHealthCheck: {
      const absl::Status health =
          CheckHealth(line->config, line->health_check_target, absl::Seconds(3));
      if (health.ok()) return EXIT_SUCCESS;
      Print(health);
      return EXIT_FAILURE;
    }
    case CommandLine::Action::kServe:
      return Serve(line->config);
  }
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace attend

int main(int argc, char** argv) {
  return attend::Main(argc, argv);
}
