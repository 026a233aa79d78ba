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
//  1. It is made from a request, which is checked; what it will take is predicted from shapes
//     and options alone. Nothing is allocated for it but its description.
//  2. Accept hands it the memory that it may use and the callback that it answers by.
//  3. Prepare, on the thread of the executor that runs it, allocates the outputs, fills their
//     padding and hands what is to be computed to the runner.
//  4. End answers.
// Each kind of request has an operation of its own, which knows its own runner.
// One thread at a time.
class Operation : public Work {
 public:
  BatchRunner& runner() const { return runner_; }

  // Cost::bytes is what the request needs beside its inputs.
  const Cost& cost() const { return cost_; }

  // `charge` covers the inputs and cost().bytes. Once, before Prepare and End.
  void Accept(MemoryCharge charge, ResponseCallback done);

  // Where memory cannot be allocated, the operation fails alone: it hands nothing over, and
  // End answers RESOURCE_EXHAUSTED.
  void Prepare(int executor) final;

  // Answers with the response or the error. Frees what the request held before.
  void End(absl::StatusOr<Timing> result) final;

 protected:
  explicit Operation(BatchRunner& runner) : runner_(runner) {}

  // What running a checked request takes.
  struct Prediction {
    double work = 0.0;  // Cost::work
    double flops = 0.0;
    int64_t description_bytes = 0;  // of what is handed over; held like the outputs
    int64_t working_bytes = 0;      // given back before the answer
  };
  void SetUp(CheckedRequest checked, const Prediction& prediction);

  const CheckedRequest& checked() const { return checked_; }

 private:
  // Hands over what is to be computed, with outputs in `response`, whose tensors are allocated;
  // nothing where no row is asked for. May throw std::bad_alloc.
  virtual void HandOver(int executor, Response& response) = 0;

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
