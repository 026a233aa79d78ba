// SPDX-License-Identifier: Apache-2.0

// The server's command line, one argument per line, and the values of --model and --random-layer.
// What is accepted must be printed as text that parses to the same.

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "server/config/command_line.h"
#include "server/config/model_flags.h"
#include "tests/fuzz/targets/fuzz_input.h"

namespace attend {
namespace {

void CheckArguments(const std::string& text) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  std::vector<const char*> arguments;
  for (const std::string& line : lines) arguments.push_back(line.c_str());
  const auto unset = [](const std::string&) -> const char* { return nullptr; };
  const absl::StatusOr<CommandLine> parsed = ParseCommandLine(arguments, unset);
  if (!parsed.ok()) {
    Require(absl::IsInvalidArgument(parsed.status()), "a refusal is INVALID_ARGUMENT",
            parsed.status().ToString());
    return;
  }
  Require(!ConfigText(parsed->config).empty(), "an accepted configuration can be printed");
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
  attend::CheckArguments(text);
  attend::CheckSpecs(text);
  return 0;
}
