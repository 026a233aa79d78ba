// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CLIENT_FAKE_SERVICE_H_
#define ATTEND_TESTS_CLIENT_FAKE_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.grpc.pb.h"
#include "attend/v1/layer.grpc.pb.h"
#include "attend/v1/server.grpc.pb.h"

namespace attend::client {

// An attention service that computes nothing: it calls `hook` and returns its query. Thread-safe
// if the hook is.
class FakeService : public v1::AttentionService::Service {
 public:
  // Called with the number of the call, from 1; not OK is returned to the client.
  using Hook = std::function<grpc::Status(int call, grpc::ServerContext& context)>;

  // To be called before the first call. It locks a mutex all the same: ThreadSanitizer does not
  // see that gRPC orders the server thread after the client.
  void set_hook(Hook hook) {
    std::lock_guard<std::mutex> lock(mutex_);
    hook_ = std::move(hook);
  }
  // Serves a stream; not OK ends it. By default each request is answered at once, as a call is
  // without a hook.
  using Stream = grpc::ServerReaderWriter<v1::PipelineResponse, v1::PipelineRequest>;
  using PipelineHook = std::function<grpc::Status(Stream& stream, grpc::ServerContext& context)>;
  void set_pipeline_hook(PipelineHook hook) {
    std::lock_guard<std::mutex> lock(mutex_);
    pipeline_hook_ = std::move(hook);
  }
  static v1::PipelineResponse Answer(const v1::PipelineRequest& request) {
    v1::PipelineResponse answer;
    answer.set_id(request.id());
    if (request.has_multi_head_attention()) {
      *answer.mutable_multi_head_attention()->mutable_output() =
          request.multi_head_attention().query();
    } else {
      *answer.mutable_scaled_dot_product_attention()->mutable_output() =
          request.scaled_dot_product_attention().query();
    }
    return answer;
  }

  int calls() const { return calls_; }
  v1::AttentionOptions last_options() const {
    std::lock_guard lock(mutex_);
    return last_options_;
  }
  v1::Priority last_priority() const {
    std::lock_guard lock(mutex_);
    return last_priority_;
  }

  grpc::Status MultiHeadAttention(grpc::ServerContext* context,
                                  const v1::MultiHeadAttentionRequest* request,
                                  v1::MultiHeadAttentionResponse* response) override {
    const int call = ++calls_;
    Hook hook;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      hook = hook_;
    }
    if (hook) {
      if (grpc::Status status = hook(call, *context); !status.ok()) return status;
    }
    *response->mutable_output() = request->query();
    if (request->options().weights() == v1::WEIGHTS_MEAN) {
      *response->mutable_weights() = request->options().bias();
    }
    if (request->options().log_sum_exp()) {
      *response->mutable_log_sum_exp() = request->options().alibi_slopes();
    }
    {
      std::lock_guard lock(mutex_);
      last_options_ = request->options();
      last_priority_ = request->priority();
    }
    response->set_layer_sha256("abc");
    response->add_warnings("set it \x1b[2J");
    response->mutable_timing()->set_queue_ns(1000);
    response->mutable_timing()->set_compute_ns(2000);
    response->mutable_timing()->set_batch_requests(3);
    response->mutable_timing()->set_batch_tokens(48);
    return grpc::Status::OK;
  }

  grpc::Status ScaledDotProductAttention(grpc::ServerContext*,
                                         const v1::ScaledDotProductAttentionRequest* request,
                                         v1::ScaledDotProductAttentionResponse* response) override {
    ++calls_;
    *response->mutable_output() = request->query();
    response->mutable_timing()->set_batch_requests(1);
    std::lock_guard lock(mutex_);
    last_priority_ = request->priority();
    return grpc::Status::OK;
  }

  grpc::Status Pipeline(grpc::ServerContext* context, Stream* stream) override {
    PipelineHook hook;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      hook = pipeline_hook_;
    }
    if (hook) return hook(*stream, *context);
    v1::PipelineRequest request;
    while (stream->Read(&request)) {
      if (!request.has_cancel()) stream->Write(Answer(request));
    }
    return grpc::Status::OK;
  }

 private:
  mutable std::mutex mutex_;
  Hook hook_;
  PipelineHook pipeline_hook_;
  std::atomic<int> calls_ = 0;
  v1::AttentionOptions last_options_;                      // those of the last layer call
  v1::Priority last_priority_ = v1::PRIORITY_UNSPECIFIED;  // that of the last call
};

// Layers l0 .. l4, two per page.
class FakeLayers : public v1::LayerService::Service {
 public:
  grpc::Status ListLayers(grpc::ServerContext*, const v1::ListLayersRequest* request,
                          v1::ListLayersResponse* response) override {
    const int first = request->page_token().empty() ? 0 : std::stoi(request->page_token());
    for (int i = first; i < std::min(first + 2, 5); ++i) {
      v1::LayerInfo* layer = response->add_layers();
      layer->set_name(absl::StrCat("l", i));
      layer->set_embed_dim(4);
      layer->set_num_heads(2);
      if (i == 4) SetAll(*layer);
    }
    if (first + 2 < 5) response->set_next_page_token(std::to_string(first + 2));
    return grpc::Status::OK;
  }
  grpc::Status GetLayer(grpc::ServerContext*, const v1::GetLayerRequest* request,
                        v1::LayerInfo* response) override {
    if (request->name() != "l0") return {grpc::StatusCode::NOT_FOUND, "no such layer"};
    response->set_name("l0");
    response->set_embed_dim(4);
    response->set_key_dim(4);
    response->set_value_dim(4);
    response->set_num_heads(2);
    return grpc::Status::OK;
  }

 private:
  // A layer with every setting that a layer may have.
  static void SetAll(v1::LayerInfo& layer) {
    layer.mutable_model_place()->set_family("llama");
    layer.mutable_model_place()->set_stack("decoder");
    layer.mutable_model_place()->set_index(4);
    layer.mutable_model_place()->set_count(30);
    layer.mutable_model_place()->set_decoder(true);
    layer.mutable_rotary()->set_width(64);
    layer.mutable_rotary()->set_theta(5e5);
    layer.mutable_rotary()->set_factor(8);
    layer.mutable_rotary()->mutable_llama3();
    layer.mutable_query_key_norm()->set_epsilon(1e-6);
    layer.mutable_relative_bias()->set_buckets(32);
    layer.set_softcap(50);
    layer.set_window_left(4095);
  }
};

class FakeInfo : public v1::ServerService::Service {
 public:
  grpc::Status GetServerInfo(grpc::ServerContext*, const v1::GetServerInfoRequest*,
                             v1::ServerInfo* response) override {
    response->set_version("9.8.7");
    response->set_revision("c0ffee");
    v1::Limits& limits = *response->mutable_limits();
    // Each limit has a value of its own: its field number and 1000.
    for (int i = 0; i < v1::Limits::descriptor()->field_count(); ++i) {
      const auto* field = v1::Limits::descriptor()->field(i);
      if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_INT64) continue;
      v1::Limits::GetReflection()->SetInt64(&limits, field, 1000 + field->number());
    }
    response->set_workers(3);
    response->mutable_start_time()->set_seconds(1'700'000'000);
    response->add_cpu_features("avx512f");
    return grpc::Status::OK;
  }
};

// A server with all fakes on a free port, and on `extra_address` if not empty.
class FakeServer {
 public:
  enum class Health { kNone, kServed };

  explicit FakeServer(
      const std::string& extra_address = "",
      std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials(),
      Health health = Health::kServed) {
    grpc::EnableDefaultHealthCheckService(health == Health::kServed);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    if (!extra_address.empty()) builder.AddListeningPort(extra_address, credentials);
    builder.SetMaxReceiveMessageSize(-1);
    builder.RegisterService(&service);
    builder.RegisterService(&layers_);
    builder.RegisterService(&info_);
    server_ = builder.BuildAndStart();
  }
  explicit FakeServer(Health health) : FakeServer("", grpc::InsecureServerCredentials(), health) {}
  ~FakeServer() { Stop(); }

  // Ends the calls in progress.
  void Stop() { server_->Shutdown(std::chrono::system_clock::now()); }

  int port() const { return port_; }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  grpc::Server& server() { return *server_; }

  FakeService service;

 private:
  FakeLayers layers_;
  FakeInfo info_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace attend::client

#endif  // ATTEND_TESTS_CLIENT_FAKE_SERVICE_H_
