// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_MOCK_CLIENT_H_
#define ATTEND_CLIENT_CPP_ATTEND_MOCK_CLIENT_H_

// For tests of code that uses a Client; needs GoogleMock, which the library
// itself does not.
//
//   attend::client::MockClient client;
//   EXPECT_CALL(client, MultiHeadAttention).WillOnce(testing::Return(absl::UnavailableError("")));
//   CodeUnderTest(client);

#include <utility>
#include <vector>

#include "attend/client.h"
#include "gmock/gmock.h"

namespace attend::client {

// Calls of any style (Call, Start, AsyncCall) arrive at the mocked method of
// their request. Start runs the callback before it returns, on the same thread.
class MockClient : public Client {
 public:
  MOCK_METHOD(absl::StatusOr<AttentionResponse>, MultiHeadAttention,
              (const MultiHeadAttentionRequest&, const CallOptions&));
  MOCK_METHOD(absl::StatusOr<AttentionResponse>, ScaledDotProductAttention,
              (const ScaledDotProductAttentionRequest&, const CallOptions&));
  MOCK_METHOD(absl::StatusOr<AttentionResponse>, Prepared,
              (const PreparedRequest&, const CallOptions&));
  MOCK_METHOD(absl::StatusOr<std::vector<v1::LayerInfo>>, ListLayers, (const CallOptions&),
              (override));
  MOCK_METHOD(absl::StatusOr<v1::LayerInfo>, GetLayer, (absl::string_view, const CallOptions&),
              (override));
  MOCK_METHOD(absl::StatusOr<v1::ServerInfo>, GetServerInfo, (const CallOptions&), (override));
  MOCK_METHOD(absl::StatusOr<HealthStatus>, CheckHealth, (absl::string_view, const CallOptions&),
              (override));

  absl::StatusOr<AttentionResponse> Call(const MultiHeadAttentionRequest& request,
                                         const CallOptions& options) override {
    return MultiHeadAttention(request, options);
  }
  absl::StatusOr<AttentionResponse> Call(const ScaledDotProductAttentionRequest& request,
                                         const CallOptions& options) override {
    return ScaledDotProductAttention(request, options);
  }
  absl::StatusOr<AttentionResponse> Call(const PreparedRequest& request,
                                         const CallOptions& options) override {
    return Prepared(request, options);
  }

  absl::StatusOr<PendingCall> Start(const MultiHeadAttentionRequest& request,
                                    const CallOptions& options, Callback done) override {
    std::move(done)(MultiHeadAttention(request, options));
    return PendingCall();
  }
  absl::StatusOr<PendingCall> Start(const ScaledDotProductAttentionRequest& request,
                                    const CallOptions& options, Callback done) override {
    std::move(done)(ScaledDotProductAttention(request, options));
    return PendingCall();
  }
  absl::StatusOr<PendingCall> Start(const PreparedRequest& request, const CallOptions& options,
                                    Callback done) override {
    std::move(done)(Prepared(request, options));
    return PendingCall();
  }
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_MOCK_CLIENT_H_
