// SPDX-License-Identifier: Apache-2.0
#include "server/config/settings.h"

#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/config/model_flags.h"
#include "server/config/setting_types.h"
#include "server/net/address.h"

namespace attend {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

Setting Base(absl::string_view group, absl::string_view name, absl::string_view value,
             absl::string_view help) {
  Setting setting;
  setting.group = group;
  setting.name = name;
  setting.value = value;
  setting.help = help;
  return setting;
}

// One of a few words; `values` and `names` in the same order.
template <typename T>
Setting ChoiceSetting(Setting base, T& field,
                      std::vector<std::pair<absl::string_view, T>> choices) {
  base.set = [&field, choices](absl::string_view text) {
    for (const auto& [name, value] : choices) {
      if (text == name) {
        field = value;
        return absl::OkStatus();
      }
    }
    const auto append_name = [](std::string* out, const auto& choice) {
      absl::StrAppend(out, choice.first);
    };
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is none of ", absl::StrJoin(choices, ", ", append_name)));
  };
  base.get = [&field, choices] {
    std::vector<std::string> values;
    for (const auto& [name, value] : choices) {
      if (value == field) values.emplace_back(name);
    }
    return values;
  };
  return base;
}

// A list whose elements come from texts and go back to them.
template <typename T>
Setting ListSetting(Setting base, std::vector<T>& field,
                    absl::StatusOr<T> (*parse)(absl::string_view),
                    std::string (*format)(const T&)) {
  base.repeatable = true;
  base.set = [&field, parse](absl::string_view text) {
    absl::StatusOr<T> value = parse(text);
    if (!value.ok()) return value.status();
    field.push_back(*std::move(value));
    return absl::OkStatus();
  };
  base.clear = [&field] { field.clear(); };
  base.get = [&field, format] {
    std::vector<std::string> values;
    for (const T& value : field) values.push_back(format(value));
    return values;
  };
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
           "where gRPC listens: HOST:PORT (port 0: any free one) or unix:PATH"),
      config.listen, ParseListen, [](const std::string& text) { return text; }));
  settings.push_back(
      StringSetting(Base("Serving", "port-file", "PATH",
                         "file to write the addresses in use to, as JSON, once the server serves"),
                    config.lifecycle.port_file));
  settings.push_back(
      DurationSetting(Base("Serving", "max-deadline", "DURATION",
                           "the longest that a call may take, from its headers to the last byte of "
                           "its answer; also of calls without a deadline"),
                      config.lifecycle.max_deadline, absl::Milliseconds(1), kDay));
  settings.push_back(
      DurationSetting(Base("Serving", "drain-delay", "DURATION",
                           "after SIGTERM: how long to say NOT_SERVING and still take work"),
                      config.lifecycle.drain_delay, absl::ZeroDuration(), kDay));
  settings.push_back(
      DurationSetting(Base("Serving", "drain-timeout", "DURATION",
                           "after that: how long to finish what is there before giving it up"),
                      config.lifecycle.drain_timeout, absl::ZeroDuration(), kDay));
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
      IntSetting(Base("Batching", "workers", "N", "threads that compute; 0: one a core"),
                 engine.num_workers, 0, 1024));
  settings.push_back(BoolSetting(
      Base("Batching", "batching", "on|off", "run requests together where they come together"),
      engine.batching));
  settings.push_back(IntSetting(Base("Batching", "max-batch-requests", "N", "requests in a batch"),
                                engine.max_batch_requests, 1, int64_t{1} << 20));
  settings.push_back(IntSetting(
      Base("Batching", "max-batch-tokens", "N", "query rows in a batch of several requests"),
      engine.max_batch_tokens, 1, int64_t{1} << 40));
  settings.push_back(NumberSetting(Base("Batching", "max-batch-flops", "N",
                                        "floating-point operations in a batch of several requests"),
                                   engine.max_batch_flops, 1, 1e18));
}

void AddLimits(ServerConfig& config, std::vector<Setting>& settings) {
  EngineOptions& engine = config.engine;
  TransportConfig& transport = config.transport;
  settings.push_back(BytesSetting(Base("Limits", "max-request-bytes", "BYTES", "a request message"),
                                  transport.max_request_bytes, 1024));
  settings.push_back(
      BytesSetting(Base("Limits", "max-receive-bytes", "BYTES",
                        "messages that gRPC is receiving, of all connections together; "
                        "allow twice the largest request"),
                   transport.max_receive_bytes, int64_t{1} << 20));
  settings.push_back(
      BytesSetting(Base("Limits", "max-in-flight-bytes", "BYTES",
                        "inputs, outputs and working memory of all requests being served, and "
                        "what the engine keeps between batches"),
                   config.max_in_flight_bytes, int64_t{1} << 20));
  settings.push_back(
      BytesSetting(Base("Limits", "max-caller-bytes", "BYTES",
                        "memory that the requests of one caller, told by its address without the "
                        "port, hold together; one request may hold more if its caller has no "
                        "other; 0: half of --max-in-flight-bytes"),
                   config.max_caller_bytes, 0));
  settings.push_back(IntSetting(Base("Limits", "max-queue-requests", "N", "requests waiting"),
                                engine.max_queue_requests, 1, int64_t{1} << 30));
  settings.push_back(IntSetting(Base("Limits", "max-sequence-length", "N", "rows of one sequence"),
                                engine.max_sequence_length, 1, int64_t{1} << 30));
  settings.push_back(BytesSetting(
      Base("Limits", "max-weights-bytes", "BYTES", "attention weights returned by one request"),
      engine.max_weights_bytes, 0));
  settings.push_back(
      IntSetting(Base("Limits", "max-concurrent-streams", "N", "calls of one connection at once"),
                 transport.max_concurrent_streams, 1, std::numeric_limits<int32_t>::max()));
  settings.push_back(
      DurationSetting(Base("Limits", "max-connection-age", "DURATION",
                           "after this a connection is closed and its caller makes a new one"),
                      transport.max_connection_age, absl::Seconds(1), 365 * kDay));
}

void AddSecurity(TlsConfig& tls, std::vector<Setting>& settings) {
  settings.push_back(StringSetting(
      Base("Security", "tls-cert", "PATH",
           "PEM certificate chain: TLS on every TCP address; unix: sockets stay plain, their "
           "file's permissions protect them"),
      tls.cert_file));
  settings.push_back(
      StringSetting(Base("Security", "tls-key", "PATH", "PEM private key"), tls.key_file));
  settings.push_back(StringSetting(
      Base("Security", "tls-client-ca", "PATH",
           "PEM certificates: callers must show a certificate that one of them signed"),
      tls.client_ca_file));
}

void AddTelemetry(TelemetryConfig& telemetry, std::vector<Setting>& settings) {
  Setting metrics = StringSetting(
      Base("Telemetry", "metrics-listen", "HOST:PORT",
           "where /metrics, /healthz and /readyz are served over HTTP; empty: nowhere"),
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
      Base("Telemetry", "log-format", "text|json", "how log lines look"), telemetry.log_format,
      {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}));
  settings.push_back(ChoiceSetting<LogLevel>(
      Base("Telemetry", "log-level", "LEVEL", "debug, info, warning or error"), telemetry.log_level,
      {{"debug", LogLevel::kDebug},
       {"info", LogLevel::kInfo},
       {"warning", LogLevel::kWarning},
       {"error", LogLevel::kError}}));
}

}  // namespace

std::vector<Setting> MakeSettings(ServerConfig& config) {
  std::vector<Setting> settings;
  AddServing(config, settings);
  AddLayers(config, settings);
  AddBatching(config.engine, settings);
  AddLimits(config, settings);
  AddSecurity(config.tls, settings);
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
