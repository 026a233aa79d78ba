// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_FAILURES_H_
#define ATTEND_CORE_ENGINE_FAILURES_H_

#include <type_traits>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace attend {

// Calls `work` and turns an exception into the status of the items that it worked for:
// RESOURCE_EXHAUSTED MEMORY with pushback where the system has no memory, and INTERNAL with the
// exception's text, which only the server's log shows, for any other. CANCELLED where a worker
// pool was interrupted.
absl::Status CatchFailures(absl::FunctionRef<void()> work);

// The same for work that may also return an error, which is then passed on.
template <typename Work,
          typename = std::enable_if_t<std::is_same_v<std::invoke_result_t<Work&>, absl::Status>>>
absl::Status CatchFailures(Work&& work) {
  absl::Status returned;
  absl::Status thrown = CatchFailures(absl::FunctionRef<void()>([&] { returned = work(); }));
  return thrown.ok() ? returned : thrown;
}

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_FAILURES_H_
