// SPDX-License-Identifier: Apache-2.0

// One call: attend_example_call HOST:PORT LAYER TOKENS WIDTH
//
// Sends TOKENS rows of WIDTH ones through self-attention of the server's LAYER.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "attend/client.h"

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s HOST:PORT LAYER TOKENS WIDTH\n", argv[0]);
    return 2;
  }
  const int64_t tokens = std::atoll(argv[3]);
  const int64_t width = std::atoll(argv[4]);

  auto client = attend::client::Client::Create({.targets = {argv[1]}});
  if (!client.ok()) {
    std::fprintf(stderr, "%s\n", client.status().ToString().c_str());
    return 1;
  }

  std::vector<float> rows(tokens * width, 1.0f);
  attend::client::MultiHeadAttentionRequest request;
  request.layer = argv[2];
  request.query = {rows, {1, tokens, width}};
  auto result = (*client)->Call(request, {.timeout = absl::Seconds(5)});
  if (!result.ok()) {
    // Text of the server may hold any bytes, also those that a terminal obeys: print it escaped.
    const auto details = attend::client::GetErrorDetails(result.status());
    const auto error = result.status().ToString(absl::StatusToStringMode::kWithNoExtraData);
    std::fprintf(stderr, "%s (reason %s)\n", absl::CHexEscape(error).c_str(),
                 absl::CHexEscape(details.reason).c_str());
    return 1;
  }
  for (const std::string& warning : result->warnings) {
    std::fprintf(stderr, "warning: %s\n", absl::CHexEscape(warning).c_str());
  }

  const absl::Span<const float> output = *result->output.values<float>();
  std::printf("output %s, first value %g, computed in %s\n",
              attend::client::ToString(result->output.shape()).c_str(), output[0],
              absl::FormatDuration(result->timing.compute).c_str());
}
