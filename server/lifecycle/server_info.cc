// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/server_info.h"

#include <string>
#include <utility>

#include "core/attention/attention.h"
#include "core/simd/cpu.h"
#include "server/calls/rpc.h"
#include "server/codec/limits.h"
#include "server/version.h"

namespace attend {
namespace {

void SetLimits(const ServerConfig& config, Engine& engine, v1::Limits& limits) {
  const TransportConfig& transport = config.transport;
  const EngineOptions& options = engine.options();
  const ShapeLimits& shapes = engine.shape_limits();
  limits.set_max_request_bytes(transport.max_request_bytes);
  limits.set_max_in_flight_bytes(engine.budget().request_bytes());
  limits.set_max_queue_requests(options.max_queue_requests);
  limits.set_max_sequence_length(shapes.max_sequence_length);
  limits.set_max_weights_bytes(shapes.max_weights_bytes);
  limits.set_max_deadline_ms(absl::ToInt64Milliseconds(config.lifecycle.max_deadline));
  limits.set_max_concurrent_streams(transport.max_concurrent_streams);
  limits.set_max_request_compute_ms(absl::ToInt64Milliseconds(options.max_request_compute));
  limits.set_max_response_bytes(shapes.max_response_bytes);
  limits.set_max_heads(shapes.max_heads);
  limits.set_max_head_dim(kMaxHeadDim);
  limits.set_max_rows(shapes.max_rows);
  limits.set_max_sequences(shapes.max_sequences);
  limits.set_max_layer_name_bytes(static_cast<int64_t>(kMaxNameBytes));
  limits.set_max_calls(transport.max_calls);
  limits.set_max_caller_calls(transport.max_caller_calls);
  limits.set_max_caller_bytes(config.max_caller_bytes);
  limits.set_max_queue_time_ms(absl::ToInt64Milliseconds(options.max_queue_time));
  limits.set_max_queue_delay_ms(absl::ToInt64Milliseconds(options.max_queue_delay));
  limits.set_max_metadata_bytes(kMaxHeaderBytes);
}

}  // namespace

v1::ServerInfo MakeServerInfo(const ServerConfig& config, Engine& engine, absl::Time start_time) {
  v1::ServerInfo info;
  info.set_version(kVersion);
  info.set_revision(kRevision);
  info.set_workers(engine.options().num_workers);
  info.mutable_start_time()->set_seconds(absl::ToUnixSeconds(start_time));
  SetLimits(config, engine, *info.mutable_limits());
  for (std::string& feature : CpuFeatureNames()) info.add_cpu_features(std::move(feature));
  return info;
}

}  // namespace attend
