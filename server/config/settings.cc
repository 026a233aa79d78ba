// SPDX-License-Identifier: Apache-2.0
#include "server/config/settings.h"

#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/config/model_flags.h"
#include "server/config/setting_types.h"
#include "server/net/address.h"

namespace attend {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

// The longest message that clients of any language parse: protobuf's sizes are signed and have 32
// bits. A response is its tensors and up to a KiB of other fields.
constexpr int64_t kMaxMessageBytes = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxResponseBytes = kMaxMessageBytes / 1024 * 1024;
static_assert(kMaxMessageBytes - kMaxResponseBytes == 1023);

// gRPC takes the age in milliseconds as an int, which ends at 24.8 days.
constexpr absl::Duration kMaxConnectionAge = absl::Hours(24 * 24);

Setting Base(absl::string_view group, absl::string_view name, absl::string_view value,
             absl::string_view help) {
  Setting setting;
  setting.group = group;
  setting.name = name;
  setting.value = value;
  setting.help = help;
  return setting;
}

Setting EndpointSetting(Setting base, std::optional<Endpoint>& field) {
  base.set = [&field](absl::string_view text) {
    field.reset();
    if (text.empty()) return absl::OkStatus();
    ATTEND_ASSIGN_OR_RETURN(field, ParseEndpoint(text));
    return absl::OkStatus();
  };
  base.get = [&field] { return std::vector<std::string>{field ? FormatEndpoint(*field) : ""}; };
  return base;
}

absl::StatusOr<std::string> ParseListen(absl::string_view text) {
  if (absl::StartsWith(text, "unix:")) {
    // The length that sockaddr_un leaves for a path, with its final zero.
    if (UnixPath(text).empty() || UnixPath(text).size() > 107) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\": unix: needs a path of at most 107 bytes"));
    }
  } else if (const absl::StatusOr<HostPort> address = ParseHostPort(text); !address.ok()) {
    return address.status();
  }
  return std::string(text);
}

void AddServing(ServerConfig& config, std::vector<Setting>& settings) {
  settings.push_back(ListSetting<std::string>(
      Base("Serving", "listen", "ADDRESS",
           "address for gRPC: HOST:PORT (port 0: any free port) or unix:PATH"),
      config.listen, ParseListen, [](const std::string& text) { return text; }));
  settings.push_back(
      ModeSetting(Base("Serving", "unix-socket-mode", "MODE",
                       "octal permissions of the files of unix: sockets, such as 0660 to let a "
                       "group in; empty: what the umask leaves"),
                  config.unix_socket_mode));
  settings.push_back(
      BoolSetting(Base("Serving", "reflection", "on|off",
                       "tell callers the services and messages of the contract, as grpcurl asks"),
                  config.reflection));
  settings.push_back(
      StringSetting(Base("Serving", "port-file", "PATH",
                         "file that gets the addresses in use, as JSON, once the server serves"),
                    config.lifecycle.port_file));
  settings.push_back(DurationSetting(
      Base("Serving", "max-deadline", "DURATION",
           "upper limit for a call's deadline, from its headers to the last byte of "
           "its answer; used for calls that set none; of a stream, how long one message may take"),
      config.lifecycle.max_deadline, absl::Milliseconds(1), kDay));
  settings.push_back(
      DurationSetting(Base("Serving", "drain-delay", "DURATION",
                           "after SIGTERM: how long to report NOT_SERVING and still accept calls"),
                      config.lifecycle.drain_delay, absl::ZeroDuration(), kDay));
  settings.push_back(
      DurationSetting(Base("Serving", "drain-timeout", "DURATION",
                           "then: how long running calls may take to finish; at least "
                           "max-deadline, or calls may end before their deadline"),
                      config.lifecycle.drain_timeout, absl::ZeroDuration(), kDay));
  settings.push_back(IntSetting(
      Base("Serving", "network-threads", "N",
           "threads that receive requests, 2 or more; 0: one for every four cores, 2 to 16"),
      config.transport.network_threads, 0, 256));
}

void AddLayers(ServerConfig& config, std::vector<Setting>& settings) {
  settings.push_back(ListSetting<ModelSpec>(
      Base("Layers", "model", "NAME=PATH[:OPTIONS]",
           "a checkpoint directory, which gives layers NAME/0, NAME/1, ... (with T5 "
           "NAME/encoder/0, NAME/decoder/0, NAME/decoder/0/cross, ...), or a "
           "torch.nn.MultiheadAttention safetensors file, which gives layer NAME; OPTIONS: "
           "num_heads=N,compute=f32|bf16,matmul=auto|onednn|panels"),
      config.layers.models, ParseModelSpec, FormatModelSpec));
  settings.push_back(ListSetting<RandomLayerSpec>(
      Base("Layers", "random-layer", "NAME:OPTIONS",
           "a layer with random weights; OPTIONS: embed_dim=N,num_heads=N,num_kv_heads=N,"
           "head_dim=N,seed=N,compute=f32|bf16,matmul=auto|onednn|panels and settings of model "
           "families: scale=X,softcap=X,"
           "window_left=N,window_right=N,qk_norm=on,rotary_dim=N,rotary_theta=X,"
           "rotary_interleaved=on,relative_buckets=N,relative_max_distance=N"),
      config.layers.random_layers, ParseRandomLayerSpec, FormatRandomLayerSpec));
  settings.push_back(ChoiceSetting<MatmulChoice>(
      Base("Layers", "matmul", "auto|onednn|panels",
           "what computes the projections of layers whose OPTIONS do not say: oneDNN, the "
           "project's own panels, or whichever of them suits the CPU and the type"),
      config.layers.matmul, {std::begin(kMatmulChoices), std::end(kMatmulChoices)}));
}

void AddBatching(EngineOptions& engine, std::vector<Setting>& settings) {
  settings.push_back(
      IntSetting(Base("Batching", "workers", "N", "compute threads; 0 = one per core"),
                 engine.num_workers, 0, 1024));
  settings.push_back(IntSetting(
      Base(
          "Batching", "executors", "N",
          "groups of workers that run batches at the same time, each with its own cores; idle ones "
          "help with long requests; 0 = one per last-level cache"),
      engine.executors, 0, 1024));
  settings.push_back(
      BoolSetting(Base("Batching", "batching", "on|off", "combine waiting requests into batches"),
                  engine.batching));
  settings.push_back(IntSetting(
      Base("Batching", "max-batch-requests", "N", "largest number of requests in a batch"),
      engine.max_batch_requests, 1, int64_t{1} << 20));
  settings.push_back(IntSetting(Base("Batching", "max-batch-tokens", "N",
                                     "largest number of query rows in a batch of several requests"),
                                engine.max_batch_tokens, 1, int64_t{1} << 40));
  settings.push_back(
      DurationSetting(Base("Batching", "batch-target", "DURATION",
                           "predicted time at which a batch of several requests stops growing"),
                      engine.batch_target, absl::Microseconds(1), absl::Minutes(1)));
  settings.push_back(DurationSetting(
      Base("Batching", "short-limit", "DURATION",
           "requests predicted to take longer are suspended to let shorter ones pass"),
      engine.short_limit, absl::Microseconds(1), absl::Minutes(1)));
  settings.push_back(
      NumberSetting(Base("Batching", "long-share", "X",
                         "share of the time that long requests keep while short ones wait"),
                    engine.long_share, 0, 0.9));
  settings.push_back(DurationSetting(
      Base("Batching", "priority-aging", "DURATION",
           "a request that has waited for so long is served as the next higher priority"),
      engine.priority_aging, absl::Milliseconds(1), kDay));
}

// Lets a setting be 0: chosen at start.
Setting OrChosen(Setting setting, int64_t& field) {
  setting.set = [set = std::move(setting.set), &field](absl::string_view text) {
    if (text != "0") return set(text);
    field = 0;
    return absl::OkStatus();
  };
  return setting;
}

void AddMemoryLimits(ServerConfig& config, std::vector<Setting>& settings) {
  EngineOptions& engine = config.engine;
  TransportConfig& transport = config.transport;
  settings.push_back(
      OrChosen(BytesSetting(Base("Limits", "max-request-bytes", "BYTES",
                                 "largest size of one request message; 0: 256MiB, or less where "
                                 "--max-receive-bytes or --max-in-flight-bytes asks for it"),
                            transport.max_request_bytes, 1024, kMaxMessageBytes),
               transport.max_request_bytes));
  settings.push_back(OrChosen(
      BytesSetting(Base("Limits", "max-receive-bytes", "BYTES",
                        "memory for messages that are being received, all connections together; at "
                        "least twice --max-request-bytes. Once unfinished messages hold three "
                        "quarters of it, connections of the callers that hold the most are ended. "
                        "0: 768MiB, or less where memory is limited"),
                   transport.max_receive_bytes, int64_t{1} << 20),
      transport.max_receive_bytes));
  settings.push_back(OrChosen(
      BytesSetting(Base("Limits", "max-in-flight-bytes", "BYTES",
                        "memory for serving: inputs, outputs and working memory of all requests in "
                        "flight, and what the engine keeps between batches; 0: 1GiB, or less where "
                        "memory is limited"),
                   config.max_in_flight_bytes, int64_t{1} << 20),
      config.max_in_flight_bytes));
  settings.push_back(
      BytesSetting(Base("Limits", "max-weights-bytes", "BYTES",
                        "largest size of the attention weights that one request returns"),
                   engine.max_weights_bytes, 0, kMaxResponseBytes));
  settings.push_back(
      BytesSetting(Base("Limits", "max-caller-bytes", "BYTES",
                        "memory that the requests of one caller, told by its address without the "
                        "port, hold together; one request may hold more if its caller has no "
                        "other; 0: half of --max-in-flight-bytes"),
                   config.max_caller_bytes, 0));
  settings.push_back(BytesSetting(
      Base("Limits", "max-response-bytes", "BYTES",
           "largest size of what one request returns: output, weights and log-sum-exp together"),
      engine.max_response_bytes, 1, kMaxResponseBytes));
}

void AddRequestLimits(EngineOptions& engine, std::vector<Setting>& settings) {
  settings.push_back(
      IntSetting(Base("Limits", "max-queue-requests", "N", "largest number of waiting requests"),
                 engine.max_queue_requests, 1, int64_t{1} << 30));
  settings.push_back(
      DurationSetting(Base("Limits", "max-queue-time", "DURATION",
                           "largest predicted time of all waiting requests together"),
                      engine.max_queue_time, absl::Milliseconds(1), kDay));
  settings.push_back(DurationSetting(
      Base("Limits", "max-queue-delay", "DURATION",
           "while the queue does not drain, short requests that would wait longer are refused"),
      engine.max_queue_delay, absl::Milliseconds(1), kDay));
  settings.push_back(IntSetting(
      Base("Limits", "max-sequence-length", "N", "largest number of rows of one sequence"),
      engine.max_sequence_length, 1, int64_t{1} << 30));
  settings.push_back(IntSetting(Base("Limits", "max-heads", "N",
                                     "largest number of query heads of a ScaledDotProductAttention "
                                     "request; layers have their own"),
                                engine.max_heads, 1, int64_t{1} << 16));
  settings.push_back(DurationSetting(
      Base("Limits", "max-request-compute", "DURATION",
           "largest time that one request may compute, as predicted before it is queued"),
      engine.max_request_compute, absl::Microseconds(1), kDay));
}

void AddConnectionLimits(TransportConfig& transport, std::vector<Setting>& settings) {
  settings.push_back(
      IntSetting(Base("Limits", "max-concurrent-streams", "N",
                      "largest number of calls of one connection at once, and of requests of one "
                      "Pipeline that are not answered yet"),
                 transport.max_concurrent_streams, 1, std::numeric_limits<int32_t>::max()));
  settings.push_back(
      IntSetting(Base("Limits", "max-calls", "N",
                      "largest number of calls, of any method, that are open at once; one takes "
                      "about 16 KB beside its messages"),
                 transport.max_calls, 1, 10'000'000));
  settings.push_back(IntSetting(
      Base("Limits", "max-caller-calls", "N",
           "largest number of open calls of one caller, told by its address without the port"),
      transport.max_caller_calls, 1, 10'000'000));
  settings.push_back(IntSetting(
      Base("Limits", "max-connections", "N",
           "largest number of connections at once; each takes two file descriptors, and a limit on "
           "open files that is too low for N lowers it"),
      transport.max_connections, 1, 1'000'000));
  settings.push_back(IntSetting(
      Base("Limits", "max-caller-connections", "N",
           "largest number of connections of one caller, told by its address without the "
           "port, at once"),
      transport.max_caller_connections, 1, 1'000'000));
  settings.push_back(
      DurationSetting(Base("Limits", "handshake-timeout", "DURATION",
                           "time that a new connection has for the handshakes of TLS and HTTP/2"),
                      transport.handshake_timeout, absl::Milliseconds(100), absl::Hours(1)));
  settings.push_back(DurationSetting(Base("Limits", "max-connection-idle", "DURATION",
                                          "close connections that have had no call for so long"),
                                     transport.max_connection_idle, absl::Seconds(1),
                                     kMaxConnectionAge));
  settings.push_back(DurationSetting(Base("Limits", "max-connection-age", "DURATION",
                                          "close connections older than this; clients reconnect"),
                                     transport.max_connection_age, absl::Seconds(1),
                                     kMaxConnectionAge));
}

void AddSecurity(ServerConfig& config, std::vector<Setting>& settings) {
  TlsConfig& tls = config.tls;
  settings.push_back(StringSetting(
      Base("Security", "tls-cert", "PATH",
           "PEM certificate chain: TLS on every TCP address; unix: sockets stay plain, their "
           "file's permissions protect them"),
      tls.cert_file));
  settings.push_back(
      StringSetting(Base("Security", "tls-key", "PATH", "PEM private key"), tls.key_file));
  settings.push_back(
      BoolSetting(Base("Security", "insecure", "on|off",
                       "take plain text on addresses that other machines reach, where no "
                       "certificate is given, and send spans to other machines as plain text"),
                  tls.insecure));
  settings.push_back(StringSetting(
      Base("Security", "tls-client-ca", "PATH",
           "PEM certificates: callers must show a certificate that one of them signed"),
      tls.client_ca_file));
  settings.push_back(ChoiceSetting<TlsVersion>(
      Base("Security", "tls-min-version", "1.2|1.3", "oldest version of TLS that is spoken"),
      tls.min_version, {{"1.2", TlsVersion::k12}, {"1.3", TlsVersion::k13}}));
  settings.push_back(StringSetting(
      Base("Security", "tokens", "PATH",
           "file of identities and the SHA-256 of their tokens: calls must show a bearer token of "
           "one, but for health checks"),
      config.tokens_file));
  settings.push_back(BoolSetting(Base("Security", "public-reflection", "on|off",
                                      "answer reflection without a token; otherwise it needs the "
                                      "scope admin where there are tokens"),
                                 config.public_reflection));
}

void AddTelemetry(TelemetryConfig& telemetry, std::vector<Setting>& settings) {
  Setting metrics = StringSetting(
      Base("Telemetry", "metrics-listen", "HOST:PORT",
           "HTTP address for /metrics, /healthz, /readyz and a page of status; empty: none"),
      telemetry.metrics_listen);
  metrics.set = [set = metrics.set](absl::string_view text) {
    if (!text.empty()) {
      const absl::StatusOr<HostPort> address = ParseHostPort(text);
      if (!address.ok()) return address.status();
    }
    return set(text);
  };
  settings.push_back(std::move(metrics));
  settings.push_back(ChoiceSetting<LogFormat>(
      Base("Telemetry", "log-format", "text|json", "format of log lines"), telemetry.log_format,
      {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}));
  settings.push_back(
      ChoiceSetting<LogLevel>(Base("Telemetry", "log-level", "LEVEL",
                                   "least severe lines to log: debug, info, warning or error"),
                              telemetry.log_level,
                              {{"debug", LogLevel::kDebug},
                               {"info", LogLevel::kInfo},
                               {"warning", LogLevel::kWarning},
                               {"error", LogLevel::kError}}));
  settings.push_back(DurationSetting(
      Base("Telemetry", "log-slow", "DURATION",
           "log requests that take as long, beside those that are refused or fail; 0: none for it"),
      telemetry.request_log.slow, absl::ZeroDuration(), kDay));
  settings.push_back(
      IntSetting(Base("Telemetry", "log-sample", "N",
                      "log one of so many requests that are neither refused nor slow; 0: none"),
                 telemetry.request_log.sample, 0, int64_t{1} << 40));
  settings.push_back(EndpointSetting(
      Base("Telemetry", "otlp-endpoint", "URL",
           "collector that gets a span of each request whose traceparent is sampled, by OTLP over "
           "gRPC: http://HOST:PORT for plain text, https://HOST:PORT for TLS; without :PORT it is "
           "4317; empty: no spans are exported"),
      telemetry.otlp_endpoint));
}

}  // namespace

std::vector<Setting> MakeSettings(ServerConfig& config) {
  std::vector<Setting> settings;
  AddServing(config, settings);
  AddLayers(config, settings);
  AddBatching(config.engine, settings);
  AddMemoryLimits(config, settings);
  AddRequestLimits(config.engine, settings);
  AddConnectionLimits(config.transport, settings);
  AddSecurity(config, settings);
  AddTelemetry(config.telemetry, settings);
  return settings;
}

std::string EnvironmentName(absl::string_view setting) {
  std::string name = absl::StrCat("ATTEND_", absl::AsciiStrToUpper(setting));
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

}  // namespace attend
