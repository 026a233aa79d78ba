// SPDX-License-Identifier: Apache-2.0

// The client against a server that sends what no server of ours would: it must return an error,
// and neither crash nor take more memory than was received.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "attend/client.h"
#include "attend/v1/attention.pb.h"
#include "attend/v1/layer.pb.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/grpcpp.h"
#include "tests/client/cpp/wire_bytes.h"

namespace attend::client {
namespace {

struct Answer {
  std::string bytes = {};
  grpc::Status status = {};
  std::vector<std::pair<std::string, std::string>> trailers = {};
  grpc_compression_algorithm compression = GRPC_COMPRESS_NONE;
  bool has_message = true;
  int repeats = 1;  // of the message
};

// Answers every call of every method with the same bytes, one call at a time.
class HostileServer {
 public:
  HostileServer() {
    grpc::EnableDefaultHealthCheckService(false);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterAsyncGenericService(&service_);
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    thread_ = std::thread(&HostileServer::Serve, this);
  }
  ~HostileServer() {
    server_->Shutdown(std::chrono::system_clock::now());
    thread_.join();
    queue_->Shutdown();
    Wait();
  }

  void set_answer(Answer answer) {
    std::lock_guard<std::mutex> lock(mutex_);
    answer_ = std::move(answer);
  }

  std::unique_ptr<Client> Connect(int max_response_bytes = 1 << 30) {
    ClientOptions options;
    options.targets = {absl::StrCat("127.0.0.1:", port_)};
    options.max_response_bytes = max_response_bytes;
    options.throttling.reset();
    options.retry.max_attempts = 1;
    return *Client::Create(options);
  }

 private:
  // Waits for the one operation that is under way; false: it failed.
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_->Next(&tag, &ok) && ok;
  }

  void Serve() {
    for (;;) {
      grpc::GenericServerContext context;
      grpc::GenericServerAsyncReaderWriter stream(&context);
      service_.RequestCall(&context, &stream, queue_.get(), queue_.get(), nullptr);
      if (!Wait()) break;
      grpc::ByteBuffer request;
      stream.Read(&request, nullptr);
      Wait();
      Reply(context, stream);
      Wait();
    }
  }

  void Reply(grpc::GenericServerContext& context, grpc::GenericServerAsyncReaderWriter& stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, value] : answer_.trailers) context.AddTrailingMetadata(key, value);
    context.set_compression_algorithm(answer_.compression);
    if (!answer_.status.ok() || !answer_.has_message) return stream.Finish(answer_.status, nullptr);
    grpc::Slice slice(answer_.bytes);
    for (int i = 1; i < answer_.repeats; ++i) {
      stream.Write(grpc::ByteBuffer(&slice, 1), nullptr);
      Wait();
    }
    stream.WriteAndFinish(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), grpc::Status::OK,
                          nullptr);
  }

  std::mutex mutex_;
  Answer answer_;
  int port_ = 0;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::thread thread_;
};

MultiHeadAttentionRequest AnyRequest() {
  static const auto* const rows = new std::vector<float>(4);
  MultiHeadAttentionRequest request;
  request.layer = "any";
  request.query = {*rows, {1, 2, 2}};
  return request;
}

// The blocking and the asynchronous way must agree.
absl::Status Call(Client& client) {
  const absl::Status status = client.Call(AnyRequest()).status();
  std::promise<absl::Status> ended;
  EXPECT_TRUE(
      client.Start(AnyRequest(), {}, [&](auto result) { ended.set_value(result.status()); }).ok());
  EXPECT_EQ(ended.get_future().get().code(), status.code());
  return status;
}

TEST(HostileServerTest, AResponseThatIsNoneIsDataLoss) {
  HostileServer server;
  const auto client = server.Connect();
  const std::string good = BytesField(1, FloatTensor({1, 1}, 1));
  server.set_answer({good});
  EXPECT_EQ(Call(*client), absl::OkStatus());

  const std::pair<const char*, std::string> answers[] = {
      {"empty", ""},
      {"no output", BytesField(2, FloatTensor({1}, 1))},
      {"noise", std::string(1000, '\xff')},
      {"a field that never ends", std::string("\x0a\xff\xff\xff\xff\x0f")},
      {"a length of 4 GiB for the data", BytesField(1, "\x08\x01\x1a\xff\xff\xff\xff\x0f")},
      {"a million axes", BytesField(1, FloatTensor(std::vector<uint64_t>(1'000'000, 1), 1))},
      {"nine axes", BytesField(1, FloatTensor(std::vector<uint64_t>(9, 1), 1))},
      {"a product that overflows", BytesField(1, FloatTensor({1ull << 32, 1ull << 32}, 0))},
      {"a product that overflows to the right size",
       BytesField(1, FloatTensor({(1ull << 62) + 1, 4}, 4))},
      {"a negative axis", BytesField(1, FloatTensor({~0ull}, 1))},
      {"a shape larger than the data", BytesField(1, FloatTensor({1ull << 40}, 1))},
      {"data without a shape", BytesField(1, FloatTensor({}, 2))},
      {"an unknown data type", BytesField(1, VarintField(1, 99) + BytesField(3, "a"))},
      {"bad weights beside a good output", good + BytesField(2, FloatTensor({7}, 1))},
      {"a hash of a megabyte", good + BytesField(3, std::string(1 << 20, 'a'))},
      {"groups in groups", good + std::string(1 << 20, '\x3b')},
      {"a million fields", good + std::string(2'000'000, '\x38')},
      {"a varint of 11 bytes", good + "\x38" + std::string(11, '\x80')},
  };
  for (const auto& [what, bytes] : answers) {
    server.set_answer({bytes});
    EXPECT_TRUE(absl::IsDataLoss(Call(*client))) << what;
  }
}

// The first answer to two requests of one pipeline, of which the first has the id 1; how the two
// and the stream end.
struct PipelineEnd {
  absl::Status first, second, stream;
};
PipelineEnd CallPipeline(Client& client) {
  const std::unique_ptr<Pipeline> pipeline = *client.OpenPipeline();
  auto first = pipeline->AsyncCall(AnyRequest());
  auto second = pipeline->AsyncCall(AnyRequest());
  PipelineEnd end;
  end.first = first.get().status();
  end.second = second.get().status();
  end.stream = pipeline->Finish();
  return end;
}

TEST(HostileServerTest, AnAnswerOfAPipelineThatIsNobodysIsDataLossForAll) {
  HostileServer server;
  const auto client = server.Connect();
  const std::string result = BytesField(2, BytesField(1, FloatTensor({1, 1}, 1)));
  const std::pair<const char*, std::string> answers[] = {
      {"empty", ""},
      {"noise", std::string(1000, '\xff')},
      {"no result", VarintField(1, 1)},
      {"two results", VarintField(1, 1) + result + result},
      {"an id that no request has", VarintField(1, 77) + result},
      {"no id", result},
      {"a status that is OK", VarintField(1, 1) + BytesField(4, "")},
      {"a result of 4 GiB", VarintField(1, 1) + "\x12\xff\xff\xff\xff\x0f"},
  };
  for (const auto& [what, bytes] : answers) {
    server.set_answer({bytes});
    const PipelineEnd end = CallPipeline(*client);
    EXPECT_TRUE(absl::IsDataLoss(end.first)) << what << end.first;
    EXPECT_TRUE(absl::IsDataLoss(end.second)) << what << end.second;
    EXPECT_TRUE(absl::IsDataLoss(end.stream)) << what << end.stream;
  }
}

TEST(HostileServerTest, AResultOfAPipelineThatIsNoneIsDataLossForItsRequestAlone) {
  HostileServer server;
  const auto client = server.Connect();
  const std::pair<const char*, std::string> results[] = {
      {"the other kind of result", BytesField(3, BytesField(1, FloatTensor({1, 1}, 1)))},
      {"an empty result", BytesField(2, "")},
      {"noise", BytesField(2, std::string(1000, '\xff'))},
      {"a shape larger than the data", BytesField(2, BytesField(1, FloatTensor({1ull << 40}, 1)))},
  };
  for (const auto& [what, bytes] : results) {
    server.set_answer({VarintField(1, 1) + bytes});
    const PipelineEnd end = CallPipeline(*client);
    EXPECT_TRUE(absl::IsDataLoss(end.first)) << what << end.first;
    EXPECT_TRUE(absl::IsUnavailable(end.second)) << what << end.second;  // the server said no more
  }
}

TEST(HostileServerTest, ASecondAnswerToARequestEndsThePipeline) {
  HostileServer server;
  const std::string answer =
      VarintField(1, 1) + BytesField(2, BytesField(1, FloatTensor({1, 1}, 1)));
  server.set_answer({.bytes = answer, .repeats = 2});
  const PipelineEnd end = CallPipeline(*server.Connect());
  EXPECT_EQ(end.first, absl::OkStatus());
  EXPECT_TRUE(absl::IsDataLoss(end.second)) << end.second;
}

TEST(HostileServerTest, AnAnswerOverTheLimitEndsThePipeline) {
  HostileServer server;
  server.set_answer({VarintField(1, 1) + BytesField(2, std::string(2 << 20, 'a'))});
  const PipelineEnd end = CallPipeline(*server.Connect(1 << 20));
  EXPECT_TRUE(absl::IsResourceExhausted(end.first)) << end.first;
  EXPECT_TRUE(absl::IsResourceExhausted(end.stream)) << end.stream;
}

TEST(HostileServerTest, ACompressedResponseIsNotInflated) {
  HostileServer server;
  // 16 MiB of zeros are 16 KB as gzip, below the limit of the client.
  server.set_answer(
      {.bytes = BytesField(1, FloatTensor({4 << 20}, 4 << 20)), .compression = GRPC_COMPRESS_GZIP});
  const absl::Status status = server.Connect(1 << 20)->Call(AnyRequest()).status();
  EXPECT_FALSE(status.ok());
  // RESOURCE_EXHAUSTED would be gRPC's answer to a message that is over the limit once inflated.
  EXPECT_FALSE(absl::IsResourceExhausted(status)) << status;
}

TEST(HostileServerTest, OkWithoutAMessageIsAnError) {
  HostileServer server;
  const auto client = server.Connect();
  server.set_answer({.bytes = BytesField(1, FloatTensor({1}, 1)), .has_message = false});
  EXPECT_FALSE(Call(*client).ok());
}

TEST(HostileServerTest, DetailsThatAreNoneLeaveTheErrorAsItIs) {
  HostileServer server;
  const auto client = server.Connect();
  const std::string anys[] = {
      std::string(2000, '\xff'),
      BytesField(3, std::string(100, '\xff')),
      BytesField(3, BytesField(1, "type.googleapis.com/google.rpc.ErrorInfo") +
                        BytesField(2, std::string(100, '\xff'))),
      std::string("\x1a\xff\xff\xff\xff\x0f"),
  };
  for (const std::string& details : anys) {
    server.set_answer({.status = {grpc::StatusCode::INTERNAL, "broken", details}});
    const absl::Status status = Call(*client);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_EQ(status.message(), "broken");
    EXPECT_EQ(GetErrorDetails(status).reason, "");
  }
}

// gRPC keeps such a number in an enum that has no value for it, which UBSan reports.
#if !defined(__SANITIZE_ADDRESS__)
TEST(HostileServerTest, ACodeThatGrpcDoesNotKnowIsUnknown) {
  HostileServer server;
  server.set_answer({.status = {static_cast<grpc::StatusCode>(99), "beyond"}});
  EXPECT_EQ(Call(*server.Connect()).code(), absl::StatusCode::kUnknown);
}
#endif

TEST(HostileServerTest, PushbacksOfAnySortEndTheCall) {
  HostileServer server;
  for (const char* pushback : {"", "x", "9223372036854775807", "-9223372036854775808", "1e9"}) {
    server.set_answer({.status = {grpc::StatusCode::RESOURCE_EXHAUSTED, "busy"},
                       .trailers = {{"grpc-retry-pushback-ms", pushback}}});
    EXPECT_TRUE(absl::IsResourceExhausted(Call(*server.Connect()))) << pushback;
  }
}

TEST(HostileServerTest, APageOfEmptyLayersIsRefused) {
  HostileServer server;
  std::string page;
  for (int i = 0; i < 1'000'000; ++i) page += BytesField(1, "");
  server.set_answer({page});
  EXPECT_TRUE(absl::IsDataLoss(server.Connect()->ListLayers().status()));
  server.set_answer({std::string(5 << 20, '\0')});
  EXPECT_TRUE(absl::IsDataLoss(server.Connect()->GetServerInfo().status()));
  EXPECT_TRUE(absl::IsDataLoss(server.Connect()->CheckHealth().status()));
}

TEST(HostileServerTest, PagesWithoutEndAreRefused) {
  HostileServer server;
  v1::ListLayersResponse page;
  for (int i = 0; i < 10'000; ++i) page.add_layers()->set_name("l");
  page.set_next_page_token("more");
  server.set_answer({page.SerializeAsString()});
  EXPECT_TRUE(absl::IsResourceExhausted(server.Connect()->ListLayers().status()));
}

}  // namespace
}  // namespace attend::client
