// SPDX-License-Identifier: Apache-2.0

// The engine where the system runs out of memory in the middle of a batch. Blocks above
// largest_block are refused.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/layer/registry.h"
#include "gtest/gtest.h"
#include "tests/core/engine/held_engine.h"
#include "tests/core/engine/test_requests.h"
#include "tests/support/largest_block.h"

namespace attend {
namespace {

constexpr int64_t kEmbed = 64;

MultiHeadAttentionRequest RequestOfRows(int64_t rows, uint32_t seed) {
  std::mt19937 random(seed);
  MultiHeadAttentionRequest request;
  request.layer = "layer";
  request.query = RandomTensor(random, {1, rows, kEmbed});
  return request;
}

void ExpectEqual(const Response& got, const Response& expected) {
  ASSERT_EQ(got.output.byte_size(), expected.output.byte_size());
  EXPECT_EQ(std::memcmp(got.output.data(), expected.output.data(), got.output.byte_size()), 0);
}

// 2,000 rows take 500 KiB for the output, and twice as much for queries, keys, values and
// contexts each.
TEST(EngineMemory, FailsTheRequestThatFindsNoMemoryAndAnswersItsNeighbours) {
  LayerRegistry layers;
  ASSERT_TRUE(layers.Add(MakeTestLayer("layer", kEmbed, kEmbed, kEmbed, 16, 16, 8)).ok());
  HeldEngine held(2, layers);
  const absl::StatusOr<Response> alone = Call(held.engine(), RequestOfRows(16, 1));
  ASSERT_TRUE(alone.ok()) << alone.status();

  for (int round = 0; round < 3; ++round) {
    std::vector<Request> requests;
    requests.emplace_back(RequestOfRows(16, 1));
    requests.emplace_back(RequestOfRows(2000, 2));
    requests.emplace_back(RequestOfRows(16, 1));
    largest_block = 600'000;  // the output of 2,000 rows fits, their working memory does not
    const std::vector<absl::StatusOr<Response>> answers = held.CallTogether(std::move(requests));
    largest_block = kNoLimit;
    ASSERT_TRUE(answers[0].ok()) << answers[0].status();
    ASSERT_TRUE(answers[2].ok()) << answers[2].status();
    ExpectEqual(*answers[0], *alone);
    ExpectEqual(*answers[2], *alone);
    ASSERT_FALSE(answers[1].ok());
    EXPECT_EQ(answers[1].status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(GetErrorInfo(answers[1].status()).reason, "MEMORY");
  }

  const absl::StatusOr<Response> large = Call(held.engine(), RequestOfRows(2000, 2));
  EXPECT_TRUE(large.ok()) << large.status();
}

TEST(EngineMemory, FailsTheRequestWhoseOutputFindsNoMemory) {
  LayerRegistry layers;
  ASSERT_TRUE(layers.Add(MakeTestLayer("layer", kEmbed, kEmbed, kEmbed, 16, 16, 8)).ok());
  HeldEngine held(2, layers);
  std::vector<Request> requests;
  requests.emplace_back(RequestOfRows(16, 1));
  requests.emplace_back(RequestOfRows(2000, 2));
  largest_block = 400'000;
  const std::vector<absl::StatusOr<Response>> answers = held.CallTogether(std::move(requests));
  largest_block = kNoLimit;
  EXPECT_TRUE(answers[0].ok()) << answers[0].status();
  EXPECT_EQ(GetErrorInfo(answers[1].status()).reason, "MEMORY");
}

}  // namespace
}  // namespace attend
