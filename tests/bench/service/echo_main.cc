// SPDX-License-Identifier: Apache-2.0
//
// bench_echo answers every call of every method with the bytes that it was sent, on one thread:
// what gRPC itself costs. It prints its address and serves until its input ends.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

namespace {

// One call. Every operation of it has the call as its tag, and one is under way at a time.
class EchoCall {
 public:
  EchoCall(grpc::AsyncGenericService& service, grpc::ServerCompletionQueue& queue)
      : service_(service), queue_(queue) {
    service.RequestCall(&context_, &stream_, &queue, &queue, this);
  }

  // The operation has ended.
  void Go(bool ok) {
    switch (step_++) {
      case 0:
        if (!ok) break;  // the server stops
        new EchoCall(service_, queue_);
        return stream_.Read(&message_, this);
      case 1:
        if (ok) return stream_.WriteAndFinish(message_, {}, grpc::Status::OK, this);
        return stream_.Finish(grpc::Status(grpc::StatusCode::CANCELLED, "there is no message"),
                              this);
      default:
        break;
    }
    delete this;
  }

 private:
  grpc::AsyncGenericService& service_;
  grpc::ServerCompletionQueue& queue_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  grpc::ByteBuffer message_;
  int step_ = 0;
};

}  // namespace

int main() {
  grpc::AsyncGenericService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  builder.RegisterAsyncGenericService(&service);
  const std::unique_ptr<grpc::ServerCompletionQueue> queue = builder.AddCompletionQueue();
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::cerr << "gRPC cannot start its server" << std::endl;
    return 1;
  }
  std::thread thread([&] {
    for (int i = 0; i < 32; ++i) new EchoCall(service, *queue);
    void* call = nullptr;
    bool ok = false;
    while (queue->Next(&call, &ok)) static_cast<EchoCall*>(call)->Go(ok);
  });
  std::cout << "127.0.0.1:" << port << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  server->Shutdown(std::chrono::system_clock::now());
  queue->Shutdown();
  thread.join();
  return 0;
}
