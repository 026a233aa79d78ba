// SPDX-License-Identifier: Apache-2.0

// Both ends in one program, from the installed package alone: a service built from the installed
// stubs, which returns its query, and a client that calls it.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <vector>

#include "attend/client.h"
#include "attend/v1/attention.grpc.pb.h"

class Echo : public attend::v1::AttentionService::Service {
  grpc::Status MultiHeadAttention(grpc::ServerContext*,
                                  const attend::v1::MultiHeadAttentionRequest* request,
                                  attend::v1::MultiHeadAttentionResponse* response) override {
    *response->mutable_output() = request->query();
    return grpc::Status::OK;
  }
};

int main() {
  Echo echo;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&echo);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return 1;

  auto client =
      attend::client::Client::Create({.targets = {"ipv4:127.0.0.1:" + std::to_string(port)}});
  if (!client.ok()) return 1;
  const std::vector<float> rows = {1, 2, 3, 4};
  attend::client::MultiHeadAttentionRequest request;
  request.layer = "any";
  request.query = {rows, {1, 2, 2}};
  const auto result = (*client)->Call(request);
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    return 1;
  }
  return result->output.ToFloats() == rows ? 0 : 1;
}
