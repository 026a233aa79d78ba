// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_INTEGRATION_SERVER_CALLS_H_
#define ATTEND_TESTS_INTEGRATION_SERVER_CALLS_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attend/v1/attention.pb.h"
#include "core/base/mutex.h"

namespace attend {

class HoldableServer;

inline constexpr char kMultiHeadPath[] = "/attend.v1.AttentionService/MultiHeadAttention";
inline constexpr char kScaledDotProductPath[] =
    "/attend.v1.AttentionService/ScaledDotProductAttention";

// How a call ended.
struct CallResult {
  grpc::Status status;
  std::multimap<std::string, std::string> trailers;
  std::string response;

  bool has_trailer(const std::string& name) const { return trailers.count(name) > 0; }
  // Holds the ErrorInfo's reason and field unchanged.
  const std::string& details() const { return details_; }
  std::string details_;
};

// Fails the test if an error of the server's, message or details, holds a path of its machine or an
// address.
void ExpectNoPlaceIn(const std::string& error);

// A call of any bytes that any thread may wait for and cancel. An error of the server's is checked
// by ExpectNoPlaceIn.
class Call {
 public:
  struct Options {
    std::chrono::milliseconds timeout{60'000};
    grpc_compression_algorithm compression = GRPC_COMPRESS_NONE;
    std::map<std::string, std::string> metadata{};
  };
  Call(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
       const std::string& request, const Options& options);
  Call(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
       const std::string& request)
      : Call(channel, path, request, Options()) {}
  ~Call() { Wait(); }

  void Cancel() { context_.TryCancel(); }
  const CallResult& Wait();

 private:
  grpc::ClientContext context_;
  std::shared_ptr<grpc::Channel> channel_;
  grpc::ByteBuffer request_, response_;
  // ThreadSanitizer sees by this mutex that the callback comes after the constructor.
  Mutex mutex_;
  CondVar ended_;
  std::optional<grpc::Status> status_ ABSL_GUARDED_BY(mutex_);
  bool waited_ = false;
  CallResult result_;
};

CallResult MakeCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                    const std::string& request, const Call::Options& options = {});

// Returns a request that a server accepts: `rows` rows of one sequence.
v1::MultiHeadAttentionRequest LayerRequest(const std::string& layer, int64_t rows,
                                           int64_t embed_dim);
v1::ScaledDotProductAttentionRequest OperatorRequest(int64_t rows, int64_t heads, int64_t head_dim);

// Returns an operator request of less than 16 KiB whose answer takes `rows` * 8,192 bytes.
v1::ScaledDotProductAttentionRequest LargeAnswerRequest(int64_t rows);

// Serialised: an operator request that is computed at once.
std::string ShortRequest();

// A call that the engine runs, and does not finish before it is released. Calls that are made
// meanwhile wait in the queue, if the server has one worker and does not batch.
class HeldCall {
 public:
  // Holds the server. Blocks until the engine runs the call, so that no test takes it for one that
  // is queued behind it.
  explicit HeldCall(HoldableServer& server, const Call::Options& options = {});
  ~HeldCall() { Release(); }

  // Releases the server and waits for the call.
  const CallResult& Release();

 private:
  HoldableServer& server_;
  std::unique_ptr<Call> call_;
};

// A float32 tensor with fixed values between -1 and 1.
void FillTensor(const std::vector<int64_t>& shape, v1::Tensor& tensor);

}  // namespace attend

#endif  // ATTEND_TESTS_INTEGRATION_SERVER_CALLS_H_
