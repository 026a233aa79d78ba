// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CONFIG_SERVER_CONFIG_H_
#define ATTEND_SERVER_CONFIG_SERVER_CONFIG_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/engine/engine.h"
#include "core/weights/layer_source.h"
#include "core/weights/random_layer.h"
#include "server/net/address.h"
#include "server/telemetry/log.h"
#include "server/telemetry/request_log.h"

namespace attend {

struct LayersConfig {
  std::vector<ModelSpec> models;
  std::vector<RandomLayerSpec> random_layers;
  MatmulChoice matmul = MatmulChoice::kAuto;  // of those that name none

  // Returns the spec of a model or of a random layer with what holds where it names nothing.
  template <typename Spec>
  Spec Complete(Spec spec) const {
    spec.matmul = spec.matmul.value_or(matmul);
    return spec;
  }
};

// What bounds requests before the engine sees them; the engine's own limits are
// in EngineOptions.
struct TransportConfig {
  int64_t max_request_bytes = 0;  // 0: as PlanMemory chooses
  // gRPC buffers whole messages before any handler runs: this bounds all of
  // them together. Connections keeps to it.
  int64_t max_receive_bytes = 0;         // likewise
  int64_t max_concurrent_streams = 256;  // of one connection
  int network_threads = 0;               // that receive, not 1; 0: chosen at start
  int64_t max_calls = 4096;
  int64_t max_caller_calls = 2048;  // of one caller
  int64_t max_connections = 1024;
  int64_t max_caller_connections = 256;                  // of one caller
  absl::Duration handshake_timeout = absl::Seconds(10);  // TLS and HTTP/2's first frames
  absl::Duration max_connection_idle = absl::Minutes(10);
  absl::Duration max_connection_age = absl::Minutes(30);
};

enum class TlsVersion { k12, k13 };

struct TlsConfig {
  std::string cert_file;       // PEM chain; empty: no TLS
  std::string key_file;        // PEM
  std::string client_ca_file;  // PEM; not empty: callers must show a certificate of it
  TlsVersion min_version = TlsVersion::k12;
  bool insecure = false;  // plain text may be taken from other machines
};

struct LifecycleConfig {
  absl::Duration max_deadline = absl::Seconds(60);
  absl::Duration drain_delay = absl::Seconds(2);
  absl::Duration drain_timeout = absl::Seconds(60);  // not below max_deadline, which it would cut
  std::string port_file;
};

struct TelemetryConfig {
  std::string metrics_listen = "127.0.0.1:9090";  // empty: none
  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;
  RequestLogOptions request_log;
  std::optional<Endpoint> otlp_endpoint;  // of the collector that gets spans; none: no spans
};

// Everything that can be set on a server. settings.h maps it to flags and
// environment variables.
struct ServerConfig {
  std::vector<std::string> listen = {"localhost:50051"};
  std::optional<mode_t> unix_socket_mode;  // of the sockets' files; none: as the umask says
  bool reflection = true;                  // whether callers may ask for the contract
  bool public_reflection = false;          // without a token, where there are tokens
  std::string tokens_file;                 // of hashes; empty: calls need no token
  LayersConfig layers;
  EngineOptions engine;
  TransportConfig transport;
  // The memory budget of the program: requests in flight and the engine share it. 0: as PlanMemory
  // chooses.
  int64_t max_in_flight_bytes = 0;
  int64_t max_caller_bytes = 0;  // of it, for the requests of one caller; 0: half
  LifecycleConfig lifecycle;
  TlsConfig tls;
  TelemetryConfig telemetry;
};

}  // namespace attend

#endif  // ATTEND_SERVER_CONFIG_SERVER_CONFIG_H_
