// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CALLS_CALL_QUEUE_H_
#define ATTEND_SERVER_CALLS_CALL_QUEUE_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

#include <functional>
#include <thread>

#include "server/calls/rpc.h"

namespace attend {

// One thread that takes calls off gRPC, receives their messages and tells the calls what happens.
// All of a call happens on one such thread, except what its service starts elsewhere.
//
// It may share a core with threads that compute. While the server is overloaded, it does not take
// the core from them each time that a message arrives (Linux' SCHED_BATCH), but waits until its
// turn, a few milliseconds, and then takes all that has arrived, which makes refusals cheaper.
class CallQueue {
 public:
  // Adds a queue to the server that `builder` makes. `service`, which is registered with it, and
  // `routes` outlive the queue. `overloaded` is asked at every event.
  CallQueue(grpc::ServerBuilder& builder, grpc::AsyncGenericService& service, const Routes& routes,
            std::function<bool()> overloaded, CallBounds bounds = {});

  // The server was shut down, or was never made. Blocks until the last call is done.
  ~CallQueue();

  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  // Takes calls from here on. To be called once, when the server has been made.
  void Start();

 private:
  void Run();
  void Accept();

  const std::function<bool()> overloaded_;
  CallSource source_;
  std::thread thread_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_CALLS_CALL_QUEUE_H_
