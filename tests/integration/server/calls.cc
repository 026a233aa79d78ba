// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/server/calls.h"

#include <grpcpp/generic/generic_stub.h>

#include <cstring>

#include "gtest/gtest.h"
#include "tests/integration/server/server_process.h"
#include "tests/support/byte_buffers.h"

namespace attend {

void ExpectNoPlaceIn(const std::string& error) {
  for (const char* place : {"/tmp", ".safetensors", "127.0.0.", "ipv4:", "unix:"}) {
    EXPECT_EQ(error.find(place), std::string::npos) << place << " in: " << error;
  }
}

Call::Call(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
           const std::string& request, const Options& options)
    : channel_(channel) {
  const grpc::Slice slice(request);
  request_ = grpc::ByteBuffer(&slice, 1);
  context_.set_deadline(std::chrono::system_clock::now() + options.timeout);
  context_.set_compression_algorithm(options.compression);
  for (const auto& [key, value] : options.metadata) context_.AddMetadata(key, value);
  { MutexLock lock(mutex_); }
  grpc::GenericStub(channel_).UnaryCall(&context_, path, {}, &request_, &response_,
                                        [this](const grpc::Status& status) {
                                          MutexLock lock(mutex_);
                                          status_ = status;
                                          ended_.NotifyAll();
                                        });
}

const CallResult& Call::Wait() {
  if (waited_) return result_;
  waited_ = true;
  {
    MutexLock lock(mutex_);
    while (!status_.has_value()) ended_.Wait(mutex_);
    result_.status = *status_;
  }
  result_.details_ = result_.status.error_details();
  for (const auto& [key, value] : context_.GetServerTrailingMetadata()) {
    result_.trailers.emplace(std::string(key.data(), key.size()),
                             std::string(value.data(), value.size()));
  }
  if (result_.status.ok()) result_.response = Flatten(response_);
  // Errors without it are gRPC's own, which name the server's address where it cannot be reached.
  if (!result_.status.ok() && result_.has_trailer("x-request-id")) {
    ExpectNoPlaceIn(result_.status.error_message() + result_.details());
  }
  return result_;
}

CallResult MakeCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                    const std::string& request, const Call::Options& options) {
  return Call(channel, path, request, options).Wait();
}

void FillTensor(const std::vector<int64_t>& shape, v1::Tensor& tensor) {
  tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
  size_t count = 1;
  for (const int64_t size : shape) {
    tensor.add_shape(size);
    count *= static_cast<size_t>(size);
  }
  tensor.mutable_data()->resize(count * sizeof(float));
  for (size_t i = 0; i < count; ++i) {
    const float value = static_cast<float>(i * 7919 % 2001) / 1000.0f - 1.0f;
    std::memcpy(tensor.mutable_data()->data() + i * sizeof(float), &value, sizeof(float));
  }
}

v1::MultiHeadAttentionRequest LayerRequest(const std::string& layer, int64_t rows,
                                           int64_t embed_dim) {
  v1::MultiHeadAttentionRequest request;
  request.set_layer(layer);
  FillTensor({1, rows, embed_dim}, *request.mutable_query());
  return request;
}

v1::ScaledDotProductAttentionRequest OperatorRequest(int64_t rows, int64_t heads,
                                                     int64_t head_dim) {
  v1::ScaledDotProductAttentionRequest request;
  FillTensor({1, rows, heads, head_dim}, *request.mutable_query());
  *request.mutable_key() = request.query();
  *request.mutable_value() = request.query();
  return request;
}

v1::ScaledDotProductAttentionRequest LargeAnswerRequest(int64_t rows) {
  v1::ScaledDotProductAttentionRequest request;
  FillTensor({1, rows, 1, 1}, *request.mutable_query());
  FillTensor({1, 1, 1, 1}, *request.mutable_key());
  FillTensor({1, 1, 1, 2048}, *request.mutable_value());
  return request;
}

std::string ShortRequest() {
  return OperatorRequest(8, 1, 8).SerializeAsString();
}

HeldCall::HeldCall(HoldableServer& server, const Call::Options& options) : server_(server) {
  server_.Hold();
  const std::string request = ShortRequest();
  call_ = std::make_unique<Call>(server_.Channel(), kScaledDotProductPath, request, options);
  EXPECT_TRUE(Eventually([&] {
    const auto metrics = server_.Metrics();
    return Sum(metrics, "attend_in_flight_bytes") > static_cast<double>(request.size()) &&
           Sum(metrics, "attend_queue_requests") == 0;
  }));
}

const CallResult& HeldCall::Release() {
  server_.Release();
  return call_->Wait();
}

}  // namespace attend
