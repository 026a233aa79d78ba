// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SUPPORT_CALL_SERVER_H_
#define ATTEND_TESTS_SUPPORT_CALL_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/calls/call_queue.h"

namespace attend {

// A gRPC server of this process on a free port, for tests of what answers calls.
class CallServer {
 public:
  explicit CallServer(
      Routes routes, int threads = 1, std::function<bool()> overloaded = [] { return false; })
      : routes_(std::move(routes)) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterAsyncGenericService(&service_);
    for (int i = 0; i < threads; ++i) {
      queues_.push_back(std::make_unique<CallQueue>(builder, service_, routes_, overloaded));
    }
    server_ = builder.BuildAndStart();
    for (const auto& queue : queues_) queue->Start();
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                   grpc::InsecureChannelCredentials());
  }

  ~CallServer() { Shutdown(); }

  // Cancels what runs; every call is done when this returns. May be called again.
  void Shutdown() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    queues_.clear();
    server_.reset();
  }

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  const Routes routes_;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<CallQueue>> queues_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace attend

#endif  // ATTEND_TESTS_SUPPORT_CALL_SERVER_H_
