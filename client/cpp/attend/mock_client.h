// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_MOCK_CLIENT_H_
#define ATTEND_CLIENT_CPP_ATTEND_MOCK_CLIENT_H_

// For tests of code that uses a Client; needs GoogleMock, which the library
// itself does not.
//
//   attend::client::MockClient client;
//   EXPECT_CALL(client, MultiHeadAttention).WillOnce(testing::Return(absl::UnavailableError("")));
//   CodeUnderTest(client);

#include <memory>
#include <utility>
#include <vector>

#include "attend/client.h"
#include "gmock/gmock.h"

namespace attend::client {

// A pipeline whose requests are calls of `client`, with the item's timeout and
// buffers. Finish is OK unless a test expects something else of it. The client must
// outlive it.
class MockPipeline : public Pipeline {
 public:
  explicit MockPipeline(Client& client) : client_(client) {
    ON_CALL(*this, Finish).WillByDefault(testing::Return(absl::OkStatus()));
  }

  MOCK_METHOD(absl::Status, Finish, (absl::Duration), (override));

  absl::StatusOr<PendingCall> Start(const MultiHeadAttentionRequest& request,
                                    const ItemOptions& options, ResponseCallback done) override {
    return client_.Start(request, CallOptionsOf(options), std::move(done));
  }
  absl::StatusOr<PendingCall> Start(const ScaledDotProductAttentionRequest& request,
                                    const ItemOptions& options, ResponseCallback done) override {
    return client_.Start(request, CallOptionsOf(options), std::move(done));
  }
  absl::StatusOr<PendingCall> Start(const PreparedRequest& request, const ItemOptions& options,
                                    ResponseCallback done) override {
    return client_.Start(request, CallOptionsOf(options), std::move(done));
  }

 private:
  static CallOptions CallOptionsOf(const ItemOptions& options) {
    return {.timeout = options.timeout, .buffers = options.buffers};
  }

  Client& client_;
};

// Calls of any style (Call, Start, AsyncCall), and requests of the pipelines that
// OpenPipeline opens unless a test expects something else of it, arrive at the
// mocked method of their request. Start runs the callback before it returns, on the
// same thread.
class MockClient : public Client {
 public:
  MockClient() {
    ON_CALL(*this, OpenPipeline).WillByDefault([this](const PipelineOptions& /*options*/) {
      return std::make_unique<MockPipeline>(*this);
    });
  }

  MOCK_METHOD(absl::StatusOr<std::unique_ptr<Pipeline>>, OpenPipeline, (const PipelineOptions&),
              (override));
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
