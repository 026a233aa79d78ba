// SPDX-License-Identifier: Apache-2.0
#include "core/engine/failures.h"

#include <exception>
#include <new>

#include "core/base/status.h"
#include "core/exec/worker_pool.h"

namespace attend {
namespace {

// The budget promised memory that the system does not have; recovery may take a while.
constexpr absl::Duration kPushback = absl::Seconds(1);

}  // namespace

absl::Status CatchFailures(absl::FunctionRef<void()> work) {
  try {
    work();
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return Overloaded("MEMORY",
                      "the server has no memory left for the result; try again later or use "
                      "another server",
                      kPushback);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  } catch (const WorkerPool::Interrupted&) {
    return absl::CancelledError("interrupted");
  }
}

}  // namespace attend
