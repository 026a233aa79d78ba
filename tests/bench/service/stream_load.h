// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_BENCH_SERVICE_STREAM_LOAD_H_
#define ATTEND_TESTS_BENCH_SERVICE_STREAM_LOAD_H_

#include <grpcpp/generic/generic_stub.h>

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "tests/bench/service/load.h"
#include "tests/bench/service/plan.h"

namespace attend::bench {

// A closed loop over one stream of AttentionService.Pipeline: as many requests as the plan's
// concurrency are under way, of the kind that its method has as a unary call. To be used once, by
// one thread.
class StreamLoad {
 public:
  // Both outlive the load.
  StreamLoad(const Plan& plan, grpc::GenericStub& stub) : plan_(plan), stub_(stub) {}

  // Blocks until all requests are answered. Throws std::runtime_error where the stream ends before.
  std::vector<Record> Run();

 private:
  void Submit(int64_t now);
  void WriteNext();
  void OnAnswer(int64_t now);

  const Plan& plan_;
  grpc::GenericStub& stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  grpc::ByteBuffer answer_;
  std::deque<grpc::ByteBuffer> unsent_;
  bool writing_ = false;
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, Record> under_way_;  // by id
  std::vector<Record> records_;
};

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_SERVICE_STREAM_LOAD_H_
