// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_METADATA_H_
#define ATTEND_CLIENT_CLI_METADATA_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "attend/options.h"

namespace attend::cli {

// Reads request metadata from texts "name: value". Names are those that gRPC allows; the value of a
// name that ends in "-bin" is the base64 of its bytes, with or without padding, as in grpcurl. The
// value of x-request-id, which the client library sends by itself, goes to `request_id`.
// INVALID_ARGUMENT, ready to be printed, says what is wrong with the first bad one.
absl::Status ParseHeaders(const std::vector<std::string>& headers, client::Metadata* metadata,
                          std::string* request_id);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_METADATA_H_
