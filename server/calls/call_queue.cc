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
                     const Routes& routes, std::function<bool()> overloaded, CallBounds bounds)
    : overloaded_(std::move(overloaded)),
      source_{service, routes, builder.AddCompletionQueue(), std::move(bounds)} {}

CallQueue::~CallQueue() {
  // An operation that is started on a queue which was shut down ends the process.
  while (!source_.live.WaitForNone(absl::Hours(1))) {
  }
  source_.queue->Shutdown();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    Run();  // gRPC asserts that somebody has emptied the queue
  }
}

void CallQueue::Start() {
  // Here and not on the thread, which may begin only after the server was shut down again.
  Accept();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "network");
    Run();
  });
}

void CallQueue::Run() {
  int policy = SCHED_OTHER;
  void* tag = nullptr;
  bool ok = false;
  while (source_.queue->Next(&tag, &ok)) {
    Rpc::Run(tag, ok);
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
    while (source_.accepting && source_.waiting < kWaiting) Rpc::Accept(source_);
  }).IgnoreError();
}

}  // namespace attend
