// SPDX-License-Identifier: Apache-2.0

// Many requests on one stream: attend_example_pipeline HOST:PORT LAYER TOKENS WIDTH REQUESTS
//
// Request number i sends TOKENS rows of WIDTH values i through self-attention of the server's
// LAYER.
#include "attend/pipeline.h"

#include <cstdio>
#include <cstdlib>
#include <future>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "attend/client.h"

// Text of the server may hold any bytes, also those that a terminal obeys: it is printed escaped.
static std::string Describe(const absl::Status& status) {
  return absl::CHexEscape(status.ToString(absl::StatusToStringMode::kWithNoExtraData));
}

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: %s HOST:PORT LAYER TOKENS WIDTH REQUESTS\n", argv[0]);
    return 2;
  }
  const int64_t tokens = std::atoll(argv[3]);
  const int64_t width = std::atoll(argv[4]);
  const int64_t requests = std::atoll(argv[5]);

  auto client = attend::client::Client::Create({.targets = {argv[1]}});
  if (!client.ok()) {
    std::fprintf(stderr, "%s\n", client.status().ToString().c_str());
    return 1;
  }
  auto pipeline = (*client)->OpenPipeline();
  if (!pipeline.ok()) {
    std::fprintf(stderr, "%s\n", pipeline.status().ToString().c_str());
    return 1;
  }

  // AsyncCall waits while too many are in flight, so any number of requests may be started.
  std::vector<std::future<absl::StatusOr<attend::client::AttentionResponse>>> responses;
  for (int64_t i = 0; i < requests; ++i) {
    const std::vector<float> rows(tokens * width, static_cast<float>(i));
    attend::client::MultiHeadAttentionRequest request;
    request.layer = argv[2];
    request.query = {rows, {1, tokens, width}};
    responses.push_back((*pipeline)->AsyncCall(request, {.timeout = absl::Seconds(30)}));
  }

  int64_t answered = 0;
  std::set<std::string> warnings;  // that were printed
  for (auto& response : responses) {
    const auto result = response.get();  // each fails alone
    if (result.ok()) {
      ++answered;
      for (const std::string& warning : result->warnings) {
        if (!warnings.insert(warning).second) continue;
        std::fprintf(stderr, "warning: %s\n", absl::CHexEscape(warning).c_str());
      }
    } else {
      std::fprintf(stderr, "%s\n", Describe(result.status()).c_str());
    }
  }
  const absl::Status end = (*pipeline)->Finish();
  std::printf("%lld of %lld requests answered; the stream ended with %s\n",
              static_cast<long long>(answered), static_cast<long long>(requests),
              Describe(end).c_str());
  return end.ok() && answered == requests ? 0 : 1;
}
