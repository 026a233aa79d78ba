// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_PIPELINE_H_
#define ATTEND_CLIENT_CPP_ATTEND_PIPELINE_H_

// Many requests in flight on one stream, which costs less per request than a call
// of its own does.
//
//   auto pipeline = client->OpenPipeline();
//   std::vector<std::future<absl::StatusOr<attend::client::AttentionResponse>>> responses;
//   for (const auto& request : requests) responses.push_back((*pipeline)->AsyncCall(request));
//   absl::Status end = (*pipeline)->Finish();  // every future is ready now

#include <cstddef>
#include <future>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attend/attention.h"
#include "attend/options.h"
#include "attend/pending_call.h"
#include "attend/prepared_request.h"

namespace attend::client {

struct PipelineOptions {
  // The window: so many requests, and bytes of them on the wire, are kept at most
  // that the server has not answered. Both at least 1. A request of more bytes
  // than max_bytes is sent while no other is in flight.
  size_t max_requests = 256;
  size_t max_bytes = 64 << 20;

  // Of the stream, and so of all its requests, as in CallOptions.
  Metadata metadata = {};
  std::shared_ptr<grpc::CallCredentials> credentials = {};
  std::string request_id = {};
  bool wait_for_ready = false;  // each request waits until its own deadline
};

// What to do with a request for which the window has no room.
enum class WhenFull {
  kWait,    // wait for room, in the order of arrival, until the request's timeout
  kRefuse,  // RESOURCE_EXHAUSTED, reason PIPELINE_FULL, at once
};

// Of one request of a pipeline.
struct ItemOptions {
  // For the whole request, its wait for room and its retries included. Must be finite.
  absl::Duration timeout = kDefaultTimeout;

  // Memory for the tensors of the response; absent: the response allocates its own.
  ResponseBuffers buffers = {};

  WhenFull when_full = WhenFull::kWait;
};

// One stream to one server. Thread-safe; may outlive its client. Abstract, as
// Client is (attend/mock_client.h).
//
// Requests are answered in the order in which they are done. Each has its own
// timeout, fails alone, and with the errors of a unary call (attend/client.h).
// What the server refuses for load, with a pushback, is sent again on the same
// stream by the rules of RetryPolicy and from the budget that all calls and
// pipelines of the client share. It keeps its place in the window while it waits,
// so an overloaded server slows the pipeline down. ThrottlingPolicy counts and
// holds back requests of pipelines as it does calls.
//
// A stream that ends early (a lost connection, a server that drains) ends every
// request that is not answered with its status, UNAVAILABLE as a rule, and
// everything that is started after that. It is not opened again: open another
// pipeline and send those requests there, which does no harm (RetryPolicy).
// DATA_LOSS: the server sent what is no answer to any request. RESOURCE_EXHAUSTED
// without a pushback: a response was larger than ClientOptions::max_response_bytes, which
// gRPC notices before it is known to which request the response belongs.
//
// Short requests that are started while another is being sent leave together, which
// delays none of them. Attempts are not reported one by one, as those of calls are
// (CallOptions::on_attempt): their number is in each response and in GetErrorDetails.
class Pipeline {
 public:
  // Cancels what is not answered and waits until every callback has returned.
  virtual ~Pipeline() = default;
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Blocks only for room in the window (WhenFull), and never inside a callback of
  // the pipeline, where kWait is kRefuse. OK: `done` runs exactly once, possibly
  // before this returns, on the pipeline's own thread, one callback at a time:
  // a slow one delays the others, and what is to be sent. Else it never runs.
  // DEADLINE_EXCEEDED: no room in time. FAILED_PRECONDITION, reason
  // PIPELINE_FINISHED: after Finish.
  virtual absl::StatusOr<PendingCall> Start(const MultiHeadAttentionRequest& request,
                                            const ItemOptions& options, ResponseCallback done) = 0;
  virtual absl::StatusOr<PendingCall> Start(const ScaledDotProductAttentionRequest& request,
                                            const ItemOptions& options, ResponseCallback done) = 0;
  virtual absl::StatusOr<PendingCall> Start(const PreparedRequest& request,
                                            const ItemOptions& options, ResponseCallback done) = 0;

  // Blocks as Start does; the future receives every error. Its destructor does not wait.
  template <typename Request>
  std::future<absl::StatusOr<AttentionResponse>> AsyncCall(const Request& request,
                                                           const ItemOptions& options = {}) {
    return internal::StartWithFuture(
        [&](ResponseCallback done) { return Start(request, options, std::move(done)); });
  }

  // Takes no more requests, not even those that wait for room, and blocks until
  // all are answered, every callback has returned and the stream has ended. Returns
  // the stream's status: OK unless it ended early. DEADLINE_EXCEEDED after
  // `timeout`, when what is left was cancelled. FAILED_PRECONDITION inside a
  // callback. May be called again.
  virtual absl::Status Finish(absl::Duration timeout = kDefaultTimeout) = 0;

 protected:
  Pipeline() = default;
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_PIPELINE_H_
