// SPDX-License-Identifier: Apache-2.0

// How a user of the client tests code of their own: against the mock, without a server.
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attend/client.h"
#include "attend/mock_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace {

using attend::client::AttentionResponse;
using attend::client::Client;
using attend::client::MultiHeadAttentionRequest;
using testing::_;
using testing::Field;
using testing::Return;

// The user's code: tries a second layer where the first is not there.
std::optional<std::string> FindLayer(Client& client, const std::vector<float>& rows) {
  for (const char* name : {"new", "old"}) {
    MultiHeadAttentionRequest request;
    request.layer = name;
    request.query = {rows, {1, 2, 2}};
    if (client.Call(request).ok()) return name;
  }
  return std::nullopt;
}

TEST(FindLayer, FallsBackToTheOldLayer) {
  attend::client::MockClient client;
  EXPECT_CALL(client, MultiHeadAttention(Field(&MultiHeadAttentionRequest::layer, "new"), _))
      .WillOnce(Return(absl::NotFoundError("no such layer")));
  EXPECT_CALL(client, MultiHeadAttention(Field(&MultiHeadAttentionRequest::layer, "old"), _))
      .WillOnce(Return(AttentionResponse()));
  EXPECT_EQ(FindLayer(client, {1, 2, 3, 4}), "old");
}

TEST(AsyncCall, GetsWhatTheMockAnswers) {
  attend::client::MockClient client;
  EXPECT_CALL(client, MultiHeadAttention).WillOnce(Return(absl::UnavailableError("gone")));
  EXPECT_EQ(client.AsyncCall(MultiHeadAttentionRequest()).get().status().message(), "gone");
}

// The user's code: all rows through one pipeline; how many came back.
int CountAnswers(Client& client, const std::vector<std::vector<float>>& batches) {
  const auto pipeline = client.OpenPipeline();
  if (!pipeline.ok()) return 0;
  std::vector<std::future<absl::StatusOr<AttentionResponse>>> futures;
  for (const std::vector<float>& rows : batches) {
    MultiHeadAttentionRequest request;
    request.query = {rows, {1, 2, 2}};
    futures.push_back((*pipeline)->AsyncCall(request));
  }
  int count = 0;
  for (auto& future : futures) count += future.get().ok() ? 1 : 0;
  return (*pipeline)->Finish().ok() ? count : 0;
}

TEST(CountAnswers, CountsThoseThatAreOk) {
  testing::NiceMock<attend::client::MockClient> client;
  EXPECT_CALL(client, MultiHeadAttention)
      .WillOnce(Return(AttentionResponse()))
      .WillOnce(Return(absl::DeadlineExceededError("late")))
      .WillOnce(Return(AttentionResponse()));
  const std::vector<float> rows = {1, 2, 3, 4};
  EXPECT_EQ(CountAnswers(client, {rows, rows, rows}), 2);
}

TEST(CountAnswers, IsZeroWhereTheStreamIsLost) {
  testing::NiceMock<attend::client::MockClient> client;
  auto pipeline = std::make_unique<attend::client::MockPipeline>(client);
  EXPECT_CALL(*pipeline, Finish).WillOnce(Return(absl::UnavailableError("gone")));
  EXPECT_CALL(client, OpenPipeline).WillOnce(Return(testing::ByMove(std::move(pipeline))));
  ON_CALL(client, MultiHeadAttention).WillByDefault(Return(AttentionResponse()));
  EXPECT_EQ(CountAnswers(client, {{1, 2, 3, 4}}), 0);
  EXPECT_CALL(client, OpenPipeline)
      .WillOnce(Return(testing::ByMove(absl::InvalidArgumentError("options"))));
  EXPECT_EQ(CountAnswers(client, {}), 0);
}

}  // namespace
