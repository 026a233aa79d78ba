// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/http_endpoint.h"

#include <CivetServer.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/net/address.h"

namespace attend {
namespace {

// Requests that may be read or answered at the same time. A scrape and two probes are all that
// should ask, but whoever sends half of a request keeps a thread until the time is up.
constexpr char kThreads[] = "128";
constexpr char kRequestTimeoutMs[] = "2000";

struct Answer {
  int code = 200;
  const char* content_type = "text/plain; charset=utf-8";
  std::string body;
};

class CivetEndpoint final : public HttpEndpoint {
 public:
  // Throws CivetException.
  CivetEndpoint(absl::string_view host, const std::vector<std::string>& options,
                std::function<std::string()> metrics, std::function<absl::Status()> ready)
      : metrics_(std::move(metrics)),
        ready_(std::move(ready)),
        server_(options, &Callbacks(), this),
        bound_{std::string(host), server_.getListeningPorts().at(0)} {}

  // CivetWeb's threads look at their stop flag when something happens, else
  // every 2 s: make something happen until they have.
  ~CivetEndpoint() override {
    std::atomic<bool> closed{false};
    std::thread waker([&] {
      while (!closed) {
        Knock(bound_);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
    server_.close();
    closed = true;
    waker.join();
  }

  std::string address() const override { return absl::StrCat(bound_.host, ":", bound_.port); }

 private:
  // With a callback in place of handlers for paths there is no moment without them, and CivetWeb
  // never looks for files.
  static const CivetCallbacks& Callbacks() {
    static const CivetCallbacks callbacks = [] {
      CivetCallbacks made;
      made.begin_request = [](mg_connection* connection) {
        const void* const server = mg_get_user_data(mg_get_context(connection));
        const void* const endpoint = static_cast<const CivetServer*>(server)->getUserContext();
        return static_cast<const CivetEndpoint*>(endpoint)->Respond(connection);
      };
      return made;
    }();
    return callbacks;
  }

  // Returns the code that was sent.
  int Respond(mg_connection* connection) const {
    const mg_request_info& request = *mg_get_request_info(connection);
    const absl::string_view method = request.request_method;
    const bool known = method == "GET" || method == "HEAD";
    const Answer answer = known ? Find(request.local_uri)
                                : Answer{405, "text/plain; charset=utf-8", "only GET and HEAD\n"};
    mg_printf(connection,
              "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
              "Connection: close\r\n\r\n",
              answer.code, mg_get_response_code_text(connection, answer.code), answer.content_type,
              answer.body.size());
    if (method != "HEAD") mg_write(connection, answer.body.data(), answer.body.size());
    return answer.code;
  }

  Answer Find(absl::string_view path) const {
    if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_()};
    if (path == "/healthz") return {200, "text/plain; charset=utf-8", "ok\n"};
    if (path != "/readyz") {
      return {404, "text/plain; charset=utf-8", "there are /metrics, /healthz and /readyz\n"};
    }
    const absl::Status ready = ready_();
    if (ready.ok()) return {200, "text/plain; charset=utf-8", "ready\n"};
    return {503, "text/plain; charset=utf-8", absl::StrCat("not ready: ", ready.message(), "\n")};
  }

  const std::function<std::string()> metrics_;
  const std::function<absl::Status()> ready_;
  CivetServer server_;  // its threads use the above
  const HostPort bound_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(
    absl::string_view address, std::function<std::string()> metrics,
    std::function<absl::Status()> ready) {
  absl::StatusOr<HostPort> target = ParseHostPort(address);
  if (!target.ok()) return target.status();
  const std::vector<std::string> options = {
      "listening_ports",    absl::StrCat(target->host, ":", target->port),
      "num_threads",        kThreads,
      "request_timeout_ms", kRequestTimeoutMs,
      "tcp_nodelay",        "1"};
  // The one place that catches this library's exceptions.
  try {
    return std::make_unique<CivetEndpoint>(target->host, options, std::move(metrics),
                                           std::move(ready));
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address, " for metrics: ", BindError(*target)));
  }
}

}  // namespace attend
