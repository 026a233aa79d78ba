// SPDX-License-Identifier: Apache-2.0
#include "core/engine/operation.h"

#include <new>
#include <utility>

#include "core/base/status.h"
#include "core/engine/outputs.h"

namespace attend {
namespace {

// The budget promised memory that the system does not have; recovery may take a while.
constexpr absl::Duration kPushback = absl::Seconds(1);

}  // namespace

void Operation::SetUp(CheckedRequest checked, const Prediction& prediction) {
  checked_ = std::move(checked);
  working_bytes_ = prediction.working_bytes;
  cost_.work = prediction.work;
  cost_.flops = prediction.flops;
  cost_.tokens = checked_.shape.query_rows;
  cost_.bytes = CountOutputBytes(checked_) + prediction.description_bytes + working_bytes_;
}

void Operation::Accept(MemoryCharge charge, ResponseCallback done) {
  response_.charge = std::move(charge);
  done_ = std::move(done);
}

void Operation::Prepare(int executor) {
  try {
    AllocateOutputs(checked_, response_);
    HandOver(executor, response_);
  } catch (const std::bad_alloc&) {
    failure_ = Overloaded("MEMORY",
                          "the server has no memory left for the result; try again later or use "
                          "another server",
                          kPushback);
  }
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
