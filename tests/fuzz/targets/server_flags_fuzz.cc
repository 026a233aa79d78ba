// SPDX-License-Identifier: Apache-2.0

// The server's configuration: each line is an argument, or an environment variable where it begins
// with ATTEND_. The whole text is also a value of --model and of --random-layer. What is accepted
// must be printed as text that parses to the same, and its memory must be divided within any limit.

#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/engine/engine.h"
#include "server/config/command_line.h"
#include "server/config/config_errors.h"
#include "server/config/config_file.h"
#include "server/config/memory_plan.h"
#include "server/config/model_flags.h"
#include "server/config/server_config.h"
#include "server/config/setting.h"
#include "server/config/settings.h"
#include "server/config/validate.h"
#include "tests/fuzz/targets/fuzz_input.h"

namespace attend {
namespace {

void CheckMemory(const ServerConfig& config, const ProcessMemory& memory) {
  ServerConfig planned = config;
  const absl::Status plan = PlanMemory(memory, planned);
  if (!plan.ok()) {
    Require(absl::IsInvalidArgument(plan), "a plan is refused with INVALID_ARGUMENT",
            plan.ToString());
    return;
  }
  const int64_t in_flight = planned.max_in_flight_bytes;
  const int64_t receive = planned.transport.max_receive_bytes;
  const int64_t request = planned.transport.max_request_bytes;
  const std::string text = absl::StrCat(in_flight, " ", receive, " ", request);
  Require(config.max_in_flight_bytes == 0 || config.max_in_flight_bytes == in_flight,
          "what is set stays", text);
  Require(config.transport.max_receive_bytes == 0 || config.transport.max_receive_bytes == receive,
          "what is set stays", text);
  Require(request > 0 && request <= receive / 2, "a request can be received", text);
  Require(request <= in_flight - EngineRetainedBytes(planned.engine, in_flight),
          "a request can be served", text);
  const bool chosen = config.max_in_flight_bytes == 0 || config.transport.max_receive_bytes == 0;
  Require(!chosen || FitsMemory(memory, planned), "what is chosen fits", text);
}

void CheckConfig(const ServerConfig& config) {
  const std::string printed = ConfigText(config);
  ServerConfig again;
  std::vector<Setting> settings = MakeSettings(again);
  ConfigErrors errors;
  ReadConfigText(printed, "printed", settings, errors);
  FindContradictions(again, errors);
  Require(errors.status().ok(), "a printed configuration is accepted",
          absl::StrCat(printed, errors.status().ToString()));
  Require(ConfigText(again) == printed, "a configuration is printed as it parses", printed);
  Require(CheckExecutors(config.engine).ok(), "an accepted configuration is valid");
  constexpr int64_t kMiB = int64_t{1} << 20;
  CheckMemory(config, {});
  for (const int64_t limit : {int64_t{0}, 64 * kMiB, 300 * kMiB, 4096 * kMiB}) {
    CheckMemory(config, {.limit = limit, .held = 0});
    CheckMemory(config, {.limit = limit, .held = limit / 2});
    CheckMemory(config, {.limit = limit, .held = limit + kMiB});
  }
}

void CheckCommandLine(const std::string& text) {
  std::vector<std::string> lines;
  std::map<std::string, std::string> variables;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "ATTEND_")) {
      const std::pair<std::string, std::string> variable =
          absl::StrSplit(line, absl::MaxSplits('=', 1));
      variables.insert(variable);
    } else if (!absl::StartsWith(line, "--config")) {  // files are not read here
      lines.emplace_back(line);
    }
  }
  std::vector<const char*> arguments;
  for (const std::string& line : lines) arguments.push_back(line.c_str());
  const absl::StatusOr<CommandLine> parsed =
      ParseCommandLine(arguments, [&](const std::string& name) -> const char* {
        if (name == "ATTEND_CONFIG") return nullptr;  // files are not read here
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
      });
  if (parsed.ok()) return CheckConfig(parsed->config);
  Require(absl::IsInvalidArgument(parsed.status()), "a refusal is INVALID_ARGUMENT",
          parsed.status().ToString());
  Require(!parsed.status().message().empty(), "a refusal says why");
}

void CheckSpecs(const std::string& text) {
  if (const auto model = ParseModelSpec(text); model.ok()) {
    const std::string printed = FormatModelSpec(*model);
    const auto again = ParseModelSpec(printed);
    Require(again.ok() && FormatModelSpec(*again) == printed, "a model is printed as it parses",
            printed);
  }
  if (const auto layer = ParseRandomLayerSpec(text); layer.ok()) {
    const std::string printed = FormatRandomLayerSpec(*layer);
    const auto again = ParseRandomLayerSpec(printed);
    Require(again.ok() && FormatRandomLayerSpec(*again) == printed,
            "a random layer is printed as it parses", printed);
  }
}

}  // namespace
}  // namespace attend

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  attend::CheckCommandLine(text);
  attend::CheckSpecs(text);
  return 0;
}
