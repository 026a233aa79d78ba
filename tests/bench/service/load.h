// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_BENCH_SERVICE_LOAD_H_
#define ATTEND_TESTS_BENCH_SERVICE_LOAD_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/service/plan.h"

namespace attend::bench {

// Codes beside gRPC's.
constexpr int32_t kNotSent = -1;      // too many under way, or its deadline passed before its turn
constexpr int32_t kWrongAnswer = -2;  // OK with other bytes than the sample's answer

// One planned call. Times are nanoseconds of CLOCK_MONOTONIC. load.py reads
// these bytes as they are.
struct Record {
  int64_t planned_ns = 0;
  int64_t sent_ns = 0;     // 0 if it was not sent
  int64_t done_ns = 0;     // 0 if it was not sent
  int64_t compute_ns = 0;  // what the server says, if the plan asks; 0 otherwise
  int32_t code = 0;
  int32_t sample = 0;
};

// Of CLOCK_MONOTONIC, in nanoseconds.
int64_t MonotonicNow();

// A caller that follows a plan: it never retries and never backs off. An open
// loop sends on one thread at the planned times and receives on another, so that
// a slow answer delays no send.
class Load {
 public:
  explicit Load(Plan plan);

  // Blocks until every channel is connected; false after 30 s.
  bool Connect();

  // Blocks until the last call has ended. To be called once.
  void Run();

  // Of every planned call, in no order.
  const std::vector<Record>& records() const { return records_; }
  // The first error text of each code.
  const std::map<int, std::string>& messages() const { return messages_; }

 private:
  struct Call;

  void RunClosedLoop();
  void RunOpenLoop();
  void SendAsPlanned(int64_t start_ns);
  void Receive();
  void Start(int64_t planned_ns);
  // Takes the call's record, and gives the call up.
  void End(std::unique_ptr<Call> call);

  const Plan plan_;
  std::vector<grpc::ByteBuffer> requests_;  // of the plan's samples
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  grpc::CompletionQueue queue_;
  std::atomic<int> in_flight_{0};
  int64_t next_ = 0;              // number of the next call; of the thread that sends
  std::vector<Record> not_sent_;  // of the thread that sends
  std::vector<Record> records_;   // of the thread that receives
  std::map<int, std::string> messages_;
};

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_SERVICE_LOAD_H_
