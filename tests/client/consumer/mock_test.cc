// SPDX-License-Identifier: Apache-2.0

// How a user of the client tests code of their own: against the mock, without a server.
#include <optional>
#include <string>
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

}  // namespace
