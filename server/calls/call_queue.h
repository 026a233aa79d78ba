// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_CALL_QUEUE_H_
#define ATTEND_SERVER_CALLS_CALL_QUEUE_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

#include <functional>
#include <memory>
#include <thread>

#include "server/calls/calls_in_flight.h"
#include "server/calls/rpc.h"

namespace attend {

// One thread that takes calls off gRPC, receives their messages and tells the calls what happens.
// All of a call happens on one such thread, except what its service starts elsewhere.
//
// It may share a core with threads that compute. While the server is overloaded, it does not take
// the core from them each time that a message arrives (Linux' SCHED_BATCH), but waits until its
// turn, a few milliseconds, and then takes all that has arrived: this halves what a refusal costs.
class CallQueue {
 public:
  // Adds a queue to the server that `builder` makes. `service`, which is registered with it, and
  // `routes` outlive the queue. `overloaded` is asked at every event.
  CallQueue(grpc::ServerBuilder& builder, grpc::AsyncGenericService& service, const Routes& routes,
            std::function<bool()> overloaded);

  // The server was shut down, or was never made. Blocks until the last call is done.
  ~CallQueue();

  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  // Takes calls from here on. To be called once, when the server has been made.
  void Start();

 private:
  friend class Rpc;

  void Run();
  void Accept();

  grpc::AsyncGenericService& service_;
  const Routes& routes_;
  const std::function<bool()> overloaded_;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  CallsInFlight live_;     // the Rpcs
  int waiting_ = 0;        // Rpcs that wait for a caller; of the thread
  bool accepting_ = true;  // of the thread
  std::thread thread_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_CALL_QUEUE_H_
