// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/server.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/attention/attention.h"
#include "core/attention/rates.h"
#include "core/base/memory_budget.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/exec/memory_limit.h"
#include "core/linalg/panel_prefetch.h"
#include "server/calls/calls_in_flight.h"
#include "server/calls/deadline_timer.h"
#include "server/config/memory_plan.h"
#include "server/config/validate.h"
#include "server/lifecycle/grpc_front.h"
#include "server/lifecycle/layer_reloader.h"
#include "server/lifecycle/load_layers.h"
#include "server/lifecycle/port_file.h"
#include "server/lifecycle/server_info.h"
#include "server/lifecycle/signals.h"
#include "server/lifecycle/status_info.h"
#include "server/net/connections.h"
#include "server/security/certificates.h"
#include "server/security/ssl_contexts.h"
#include "server/services/attention_service.h"
#include "server/services/health_service.h"
#include "server/services/layer_service.h"
#include "server/services/reflection_service.h"
#include "server/services/server_service.h"
#include "server/telemetry/http_endpoint.h"
#include "server/telemetry/log.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/status_page.h"

namespace attend {
namespace {

// How often the files of certificates and tokens are looked at.
constexpr absl::Duration kFilesInterval = absl::Seconds(1);

// Of the start's, and of each layer that a reload replaces: a caller that waits for the server
// waits no longer than this for its first request to be fast.
constexpr absl::Duration kWarmUpLimit = absl::Seconds(1);

// Everything between the engine and gRPC.
struct Services {
  Services(const ServerConfig& config, const LayerRegistry& registry, Engine& engine,
           Metrics& metrics, std::function<void(absl::string_view peer)> end_if_stalled)
      : attention(engine, metrics, calls, timer,
                  {config.transport.max_request_bytes,
                   config.lifecycle.max_deadline,
                   {static_cast<size_t>(engine.shape_limits().max_sequences),
                    static_cast<size_t>(engine.max_heads())},
                   static_cast<size_t>(config.transport.max_concurrent_streams)},
                  std::move(end_if_stalled)) {
    attention.AddTo(routes);
    AddLayerService(registry, metrics, routes);
    AddServerService(MakeServerInfo(config, engine, absl::Now()), metrics, routes);
    health.AddTo(routes);
    if (config.reflection) AddReflectionService(routes);
  }

  CallsInFlight calls;
  AttentionService attention;
  HealthService health;
  Routes routes;
  DeadlineTimer timer{Clock::Steady()};  // its thread uses the above
};

class ServerImpl final : public Server {
 public:
  explicit ServerImpl(const ServerConfig& config)
      : config_(config), metrics_(config.lifecycle.max_deadline) {}

  ~ServerImpl() override {
    reloader_.reset();
    phase_ = Phase::kDraining;
    if (engine_ != nullptr && !drained_) engine_->Drain(Clock::Steady().Now());
    if (grpc_ != nullptr) grpc_->Shutdown();
    services_.reset();  // its timer may close connections
    metrics_.gauges().SetEngine(nullptr);
    metrics_.gauges().SetConnections(nullptr);
    metrics_.gauges().SetOpenCalls(nullptr);
    metrics_.gauges().SetTls(nullptr);
    metrics_.gauges().SetIdentities(nullptr);
  }

  absl::Status Start() {
    {
      const ExitOnShutdownSignal while_nobody_can_call;
      ATTEND_RETURN_IF_ERROR(Prepare());
    }
    return Listen();
  }

  const std::vector<std::string>& grpc_addresses() const override { return grpc_->addresses(); }
  std::string metrics_address() const override { return http_ == nullptr ? "" : http_->address(); }

  void ReloadLayers() override { reloader_->Reload(); }

  void Drain() override {
    const LifecycleConfig& lifecycle = config_.lifecycle;
    Log(LogLevel::kInfo, "draining",
        {{"delay", absl::FormatDuration(lifecycle.drain_delay)},
         {"timeout", absl::FormatDuration(lifecycle.drain_timeout)}});
    phase_ = Phase::kDraining;
    services_->health.SetServing(false);
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(lifecycle.drain_delay));
    const absl::Time deadline = Clock::Steady().Now() + lifecycle.drain_timeout;
    services_->attention.Drain();
    engine_->Drain(deadline);
    drained_ = true;
    const bool all_left = services_->calls.WaitForNone(
        std::max(deadline - Clock::Steady().Now(), absl::Milliseconds(100)));
    grpc_->Shutdown();
    Log(all_left ? LogLevel::kInfo : LogLevel::kWarning, "drained",
        {{"all_answers_left", all_left ? "true" : "false"}});
  }

 private:
  enum class Phase { kStarting, kServing, kDraining };

  // Everything but the listener. The HTTP pages answer from early on.
  absl::Status Prepare() {
    // First, because it takes no time, unlike layers, and often fails.
    ATTEND_RETURN_IF_ERROR(ReadCertificates());
    ATTEND_RETURN_IF_ERROR(ReadTokens());
    const TelemetryConfig& telemetry = config_.telemetry;
    SetStatusPage();
    if (!telemetry.metrics_listen.empty()) {
      ATTEND_ASSIGN_OR_RETURN(http_,
                              HttpEndpoint::Start(telemetry.metrics_listen,
                                                  {.metrics = [this] { return metrics_.Text(); },
                                                   .ready = [this] { return Ready(); },
                                                   .status = [this] { return StatusPage(); }}));
      Log(LogLevel::kInfo, "serving metrics", {{"address", http_->address()}});
    }
    // All are measured here and not by the first call.
    Log(LogLevel::kInfo, "chose prefetch",
        {{"decode", ToString(GetDecodePrefetch())}, {"projections", ToString(GetPanelPrefetch())}});
    Log(LogLevel::kInfo, "measured rates", {{"attention", ToString(GetAttentionRates())}});
    ATTEND_RETURN_IF_ERROR(LoadLayers(config_.layers, registry_));
    std::vector<std::string> names;
    for (const auto& [name, layer] : registry_.layers()) names.push_back(name);
    metrics_.SetLayers(names);
    ATTEND_RETURN_IF_ERROR(DivideMemory());
    budget_.emplace(config_.max_in_flight_bytes, config_.max_caller_bytes);
    engine_ =
        std::make_unique<Engine>(config_.engine, registry_, *budget_, Clock::Steady(), &metrics_);
    Log(LogLevel::kInfo, "divided workers",
        {{"workers", absl::StrCat(engine_->options().num_workers)},
         {"executors", absl::StrCat(engine_->options().executors)}});
    ATTEND_RETURN_IF_ERROR(WarmUpLayers());
    metrics_.gauges().SetEngine(engine_.get());
    reloader_ = std::make_unique<LayerReloader>(
        config_.layers, registry_, metrics_,
        [this](const Layer& layer) { return engine_->WarmUpLayer(layer, kWarmUpLimit); });
    services_ =
        std::make_unique<Services>(config_, registry_, *engine_, metrics_,
                                   [this](absl::string_view peer) { grpc_->EndIfStalled(peer); });
    return absl::OkStatus();
  }

  absl::Status Listen() {
    static_assert(kReturnTime >= Connections::kStallTime);
    services_->health.SetServing(true);
    ATTEND_ASSIGN_OR_RETURN(grpc_, GrpcFront::Listen(
                                       config_, certificates_.get(), identities_.get(),
                                       services_->routes, services_->timer, metrics_,
                                       [this] { return engine_->Overloaded(); }, most_held_bytes_));
    metrics_.gauges().SetConnections([this] { return grpc_->connection_stats(); });
    metrics_.gauges().SetOpenCalls([this] { return grpc_->call_stats(); });
    ATTEND_RETURN_IF_ERROR(grpc_->Serve());
    SetStatusPage();
    phase_ = Phase::kServing;
    for (const std::string& address : grpc_->addresses()) {
      Log(LogLevel::kInfo, "listening", {{"address", address}});
    }
    if (config_.lifecycle.port_file.empty()) return absl::OkStatus();
    ATTEND_ASSIGN_OR_RETURN(port_file_, PortFile::Write(config_.lifecycle.port_file,
                                                        grpc_->addresses(), metrics_address()));
    return absl::OkStatus();
  }

  // Made anew with what is known by now.
  void SetStatusPage() {
    std::string page = MakeStatusPage(DescribeServer(config_, registry_));
    MutexLock lock(page_mutex_);
    page_ = std::move(page);
  }
  std::string StatusPage() const {
    MutexLock lock(page_mutex_);
    return page_;
  }

  // What /readyz says: OK while layers, engine and listener can serve one more caller.
  absl::Status Ready() const {
    const Phase phase = phase_;
    if (phase == Phase::kStarting) return absl::UnavailableError("the server is starting");
    if (phase == Phase::kDraining) return absl::UnavailableError("the server is draining");
    if (engine_->stats().batch_overdue) {
      return absl::UnavailableError("a batch runs many times as long as predicted");
    }
    return grpc_->CanAccept();
  }

  absl::Status ReadCertificates() {
    if (config_.tls.cert_file.empty()) return absl::OkStatus();
    ATTEND_RETURN_IF_ERROR(SetUpSslContexts(config_.tls.min_version));
    ATTEND_ASSIGN_OR_RETURN(certificates_, Certificates::Read(config_.tls, absl::Now()));
    metrics_.gauges().SetTls([this] { return certificates_->stats(); });
    certificates_->Watch(kFilesInterval);
    return absl::OkStatus();
  }

  absl::Status ReadTokens() {
    if (config_.tokens_file.empty()) return absl::OkStatus();
    ATTEND_ASSIGN_OR_RETURN(identities_, Identities::Read(config_.tokens_file));
    metrics_.gauges().SetIdentities([this] { return identities_->stats(); });
    identities_->Watch(kFilesInterval);
    if (config_.tls.insecure && config_.tls.cert_file.empty()) {
      Log(LogLevel::kWarning,
          "tokens come in plain text: whoever sees the network between a caller, or the proxy that "
          "ends its TLS, and this server can use them");
    }
    return absl::OkStatus();
  }

  absl::Status WarmUpLayers() {
    const size_t layers = registry_.layers().size();
    if (layers == 0) return absl::OkStatus();
    const absl::Time start = Clock::Steady().Now();
    ATTEND_ASSIGN_OR_RETURN(const int64_t warm, engine_->WarmUp(kWarmUpLimit));
    Log(LogLevel::kInfo, "warmed up layers",
        {{"warm", absl::StrCat(warm)},
         {"layers", absl::StrCat(layers)},
         {"time", absl::FormatDuration(
                      absl::Trunc(Clock::Steady().Now() - start, absl::Microseconds(1)))}});
    return absl::OkStatus();
  }

  // At most what a reload holds beside the layers in service: a file and the layers made of it.
  int64_t ReloadBytes() const {
    int64_t parameters = 0;
    for (const auto& [name, entry] : registry_.layers()) {
      parameters += entry.layer->parameter_count();
    }
    return 2 * parameters * static_cast<int64_t>(sizeof(float));
  }

  // Chooses the sizes that are not set, now that the layers are in memory.
  absl::Status DivideMemory() {
    const ProcessMemory memory = {MemoryLimit(), HeldMemory()};
    ATTEND_RETURN_IF_ERROR(PlanMemory(memory, config_));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they hold more memory
    most_held_bytes_ = MostHeldBytes(memory, config_, ReloadBytes());
#endif
    const bool fits = FitsMemory(memory, config_);
    Log(fits ? LogLevel::kInfo : LogLevel::kWarning,
        fits ? "divided memory" : "the memory budgets are more than the memory limit leaves",
        {{"limit", absl::StrCat(memory.limit)},
         {"held", absl::StrCat(memory.held)},
         {"uncounted", absl::StrCat(kUncountedBytes)},
         {"spare", absl::StrCat(SpareBytes(memory.limit))},
         {"in_flight", absl::StrCat(config_.max_in_flight_bytes)},
         {"receive", absl::StrCat(config_.transport.max_receive_bytes)},
         {"request", absl::StrCat(config_.transport.max_request_bytes)}});
    return absl::OkStatus();
  }

  ServerConfig config_;
  // What the process may hold before connections end for it.
  int64_t most_held_bytes_ = std::numeric_limits<int64_t>::max();
  std::atomic<Phase> phase_{Phase::kStarting};
  bool drained_ = false;
  mutable Mutex page_mutex_;
  std::string page_ ABSL_GUARDED_BY(page_mutex_);
  Metrics metrics_;
  std::unique_ptr<Certificates> certificates_;  // nullptr without TLS
  std::unique_ptr<Identities> identities_;      // nullptr where calls need no token
  LayerRegistry registry_;
  // gRPC may hold the bytes of an answer, and with them a charge, longer than the call and the
  // server: charges outlive the budget.
  std::optional<MemoryBudget> budget_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<LayerReloader> reloader_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<GrpcFront> grpc_;
  std::unique_ptr<HttpEndpoint> http_;  // its threads use all of the above
  std::unique_ptr<PortFile> port_file_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config) {
  ATTEND_RETURN_IF_ERROR(Validate(config));
  auto server = std::make_unique<ServerImpl>(config);
  ATTEND_RETURN_IF_ERROR(server->Start());
  return server;
}

}  // namespace attend
