// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_TRANSPORT_H_
#define ATTEND_CLIENT_CPP_TRANSPORT_H_

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "client/cpp/call.h"
#include "grpcpp/channel.h"

namespace attend::client::internal {

// Runs calls of raw messages over the client's channels. Thread-safe.
class Transport {
 public:
  using Done = absl::AnyInvocable<void(CallResult) &&>;

  // `pacer` and `load` must outlive the transport.
  Transport(const std::vector<std::shared_ptr<grpc::Channel>>& channels, Pacer& pacer,
            LoadControl& load);

  // Cancels the asynchronous calls, also those that their callbacks still start,
  // and returns after the last callback has.
  ~Transport();

  // Polls a queue of its own on the calling thread: no other thread takes part.
  CallResult Run(CallSpec spec);

  // `done` runs once, on the transport's thread.
  std::weak_ptr<Call> Start(CallSpec spec, Done done);

 private:
  struct Running {
    std::shared_ptr<Call> call;
    Done done;
  };

  Call::NextStub NextStub();
  void Poll();

  Pacer& pacer_;
  LoadControl& load_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::atomic<uint64_t> turn_ = 0;
  grpc::CompletionQueue queue_;

  Mutex mutex_;
  CondVar none_running_;
  absl::flat_hash_map<const Call*, Running> running_ ABSL_GUARDED_BY(mutex_);
  // Counts a call until its callback has returned, longer than `running_`.
  size_t unfinished_ ABSL_GUARDED_BY(mutex_) = 0;

  bool closing_ ABSL_GUARDED_BY(mutex_) = false;

  // Started by the first asynchronous call.
  std::thread poller_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_TRANSPORT_H_
