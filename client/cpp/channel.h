// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_CHANNEL_H_
#define ATTEND_CLIENT_CPP_CHANNEL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attend/options.h"
#include "grpcpp/channel.h"

namespace attend::client::internal {

// One target string for gRPC out of ClientOptions.targets. Blocks to resolve
// host names where there are several targets.
absl::StatusOr<std::string> TargetOf(const std::vector<std::string>& targets);

// ClientOptions.channels channels, each with its own connections; not connected.
absl::StatusOr<std::vector<std::shared_ptr<grpc::Channel>>> CreateChannels(
    const ClientOptions& options);

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_CHANNEL_H_
