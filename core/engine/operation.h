// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_OPERATION_H_
#define ATTEND_CORE_ENGINE_OPERATION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "core/base/memory_budget.h"
#include "core/batching/work_item.h"
#include "core/engine/checked_request.h"
#include "core/engine/request.h"

namespace attend {

// One request on its way through the engine.
//  1. Create checks the request and predicts its cost from shapes and options alone. It
//     allocates nothing but the description of the work.
//  2. Accept passes the memory that it may use and the callback that answers it.
//  3. Prepare, on the thread of the lane that runs it, allocates the outputs, fills their
//     padding and hands the work over to the runner.
//  4. End answers.
// Each kind of request has its own operation, which knows its own runner. To be used by one
// thread at a time.
class Operation : public Work {
 public:
  BatchRunner& runner() const { return runner_; }

  // Cost::bytes is the memory that the request needs beside its inputs.
  const Cost& cost() const { return cost_; }

  // `charge` covers the inputs and cost().bytes. Called once, before Prepare and End.
  void Accept(MemoryCharge charge, ResponseCallback done);

  // If this fails, say for want of memory, only this operation does: it hands nothing over, and
  // End answers as CatchFailures says.
  void Prepare(int lane) final;

  // Answers with the response or the error. Frees the request's memory first.
  void End(absl::StatusOr<Timing> result) final;

 protected:
  explicit Operation(BatchRunner& runner) : runner_(runner) {}

  // The predicted cost of running a checked request.
  struct Prediction {
    double seconds = 0.0;  // Cost::seconds
    double flops = 0.0;
    int64_t description_bytes = 0;  // of the work's description; held like the outputs
    int64_t working_bytes = 0;      // freed before the answer
  };
  void SetUp(CheckedRequest checked, const Prediction& prediction);

  const CheckedRequest& checked() const { return checked_; }

 private:
  // Hands the work over to the runner, with outputs in `response`, whose tensors are allocated;
  // hands over nothing if the request has no query rows. The runner sets `failure` if it cannot
  // compute the work. May throw std::bad_alloc.
  virtual void HandOver(int lane, Response& response, absl::Status& failure) = 0;

  // Frees the request's tensors.
  virtual void DropRequest() = 0;

  BatchRunner& runner_;
  CheckedRequest checked_;
  Cost cost_;
  int64_t working_bytes_ = 0;
  ResponseCallback done_;
  Response response_;
  absl::Status failure_;
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_OPERATION_H_
