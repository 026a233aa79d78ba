// SPDX-License-Identifier: Apache-2.0

// attend-server for tests that need a busy engine: `holdable_server FILE FLAG...` computes nothing
// while another process holds the lock of the file (flock), and is the server otherwise.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/types/span.h"
#include "server/config/command_line.h"
#include "server/lifecycle/server.h"
#include "server/lifecycle/signals.h"
#include "server/telemetry/request_log.h"

namespace attend {
namespace {

void WaitForLock(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  flock(file, LOCK_SH);
  close(file);
}

int Main(int argc, char** argv) {
  const std::string path = argv[1];
  absl::StatusOr<CommandLine> line =
      ParseCommandLine(absl::MakeConstSpan(argv + 2, static_cast<size_t>(argc - 2)),
                       [](const std::string& /*name*/) -> const char* { return nullptr; });
  if (!line.ok()) return EXIT_FAILURE;
  line->config.engine.before_task = [path] { WaitForLock(path); };
  SetUpRequestLog(line->config.telemetry.request_log);
  BlockShutdownSignals();
  const absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(line->config);
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", std::string(server.status().message()).c_str());
    return EXIT_FAILURE;
  }
  WaitForShutdownSignal([&server] { (*server)->ReloadLayers(); });
  (*server)->Drain();
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace attend

int main(int argc, char** argv) {
  return attend::Main(argc, argv);
}
