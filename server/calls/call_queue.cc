// SPDX-License-Identifier: Apache-2.0
#include "server/calls/call_queue.h"

#include <pthread.h>
#include <sched.h>

#include <utility>

#include "core/engine/failures.h"

namespace attend {
namespace {

// Calls that wait for callers, so that a burst of them finds some.
constexpr int kWaiting = 32;

// For the calling thread. Needs no privilege. Without it the server works, but computes less under
// overload.
void SetSchedulingPolicy(int policy) {
  const sched_param parameters{};
  pthread_setschedparam(pthread_self(), policy, &parameters);
}

}  // namespace

CallQueue::CallQueue(grpc::ServerBuilder& builder, grpc::AsyncGenericService& service,
                     const Routes& routes, std::function<bool()> overloaded)
    : service_(service),
      routes_(routes),
      overloaded_(std::move(overloaded)),
      queue_(builder.AddCompletionQueue()) {}

CallQueue::~CallQueue() {
  // An operation that is started on a queue which was shut down ends the process.
  while (!live_.WaitForNone(absl::Hours(1))) {
  }
  queue_->Shutdown();
  if (!thread_.joinable())
    Run();  // gRPC asserts that somebody has emptied the queue
  else
    thread_.join();
}

void CallQueue::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "network");
    Accept();
    Run();
  });
}

void CallQueue::Run() {
  int policy = SCHED_OTHER;
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
    const Rpc::Event event = *static_cast<const Rpc::Event*>(tag);
    (event.rpc.*event.run)(ok);
    Accept();
    if (const int wanted = overloaded_() ? SCHED_BATCH : SCHED_OTHER; wanted != policy) {
      policy = wanted;
      SetSchedulingPolicy(policy);
    }
  }
}

void CallQueue::Accept() {
  // What fails for want of memory is made up for at the next event.
  CatchFailures([this] {
    while (accepting_ && waiting_ < kWaiting) Rpc::Accept(*this);
  }).IgnoreError();
}

}  // namespace attend
