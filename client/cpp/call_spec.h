// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_CALL_SPEC_H_
#define ATTEND_CLIENT_CPP_CALL_SPEC_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attend/options.h"
#include "grpcpp/support/byte_buffer.h"

namespace attend::client::internal {

// One call, ready to be sent; all of it is shared or copied.
struct CallSpec {
  std::string method;  // "/package.Service/Method"
  grpc::ByteBuffer request;
  absl::Duration deadline;  // on the pacer's clock
  RetryPolicy retry;
  Metadata metadata;
  std::shared_ptr<grpc::CallCredentials> credentials;
  std::string request_id;
  bool wait_for_ready = false;
  std::function<void(const AttemptInfo&)> on_attempt;
  bool is_probe = false;  // neither retried nor counted by the load control
};

// INVALID_ARGUMENT, with the option's name, where an option is wrong: gRPC would
// end the program because of illegal metadata. `now` is on the pacer's clock.
absl::StatusOr<CallSpec> MakeCallSpec(const char* method, const grpc::ByteBuffer& request,
                                      const RetryPolicy& retry, const CallOptions& options,
                                      absl::Duration now);

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_CALL_SPEC_H_
