// SPDX-License-Identifier: Apache-2.0
#include "core/engine/operation.h"

#include <utility>

#include "core/engine/failures.h"
#include "core/engine/outputs.h"

namespace attend {

void Operation::SetUp(CheckedRequest checked, const Prediction& prediction) {
  checked_ = std::move(checked);
  working_bytes_ = prediction.working_bytes;
  cost_.seconds = prediction.seconds;
  cost_.flops = prediction.flops;
  cost_.tokens = checked_.shape.query_rows;
  cost_.bytes = CountOutputBytes(checked_) + prediction.description_bytes + working_bytes_;
}

void Operation::Accept(MemoryCharge charge, ResponseCallback done) {
  response_.charge = std::move(charge);
  done_ = std::move(done);
}

void Operation::Prepare(int lane) {
  failure_ = CatchFailures([&] {
    AllocateOutputs(checked_, response_);
    HandOver(lane, response_, failure_);
  });
}

void Operation::End(absl::StatusOr<Timing> result) {
  DropRequest();
  if (result.ok() && failure_.ok()) {
    response_.timing = *result;
    response_.charge.Shrink(working_bytes_);
    done_(std::move(response_));
    return;
  }
  response_ = Response();
  done_(result.ok() ? std::move(failure_) : std::move(result).status());
}

}  // namespace attend
