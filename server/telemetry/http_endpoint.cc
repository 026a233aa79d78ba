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

// Answers GET and HEAD on one path with what a function gives.
class Page : public CivetHandler {
 public:
  struct Answer {
    int code = 200;
    const char* content_type = "text/plain; charset=utf-8";
    std::string body;
  };
  explicit Page(std::function<Answer()> answer) : answer_(std::move(answer)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    return Send(connection, true);
  }
  bool handleHead(CivetServer*, mg_connection* connection) override {
    return Send(connection, false);
  }

 private:
  bool Send(mg_connection* connection, bool with_body) {
    const Answer answer = answer_();
    mg_printf(connection,
              "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
              "Connection: close\r\n\r\n",
              answer.code, mg_get_response_code_text(connection, answer.code), answer.content_type,
              answer.body.size());
    if (with_body) mg_write(connection, answer.body.data(), answer.body.size());
    return true;
  }

  std::function<Answer()> answer_;
};

class CivetEndpoint final : public HttpEndpoint {
 public:
  // Throws CivetException.
  CivetEndpoint(absl::string_view host, const std::vector<std::string>& options,
                std::function<std::string()> metrics, std::function<bool()> ready)
      : metrics_([metrics = std::move(metrics)] {
          return Page::Answer{200, "text/plain; version=0.0.4; charset=utf-8", metrics()};
        }),
        health_([] {
          return Page::Answer{200, "text/plain; charset=utf-8", "ok\n"};
        }),
        ready_([ready = std::move(ready)] {
          Page::Answer answer;
          if (ready()) {
            answer.body = "ready\n";
          } else {
            answer.code = 503;
            answer.body = "not ready\n";
          }
          return answer;
        }),
        server_(options) {
    server_.addHandler("/metrics$", metrics_);
    server_.addHandler("/healthz$", health_);
    server_.addHandler("/readyz$", ready_);
    bound_ = {std::string(host), server_.getListeningPorts().at(0)};
  }

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
  Page metrics_, health_, ready_;
  CivetServer server_;  // after the pages that its threads use
  HostPort bound_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(
    absl::string_view address, std::function<std::string()> metrics, std::function<bool()> ready) {
  absl::StatusOr<HostPort> target = ParseHostPort(address);
  if (!target.ok()) return target.status();
  // A scrape and a probe at a time, and one more: nobody else should ask.
  const std::vector<std::string> options = {
      "listening_ports",    absl::StrCat(target->host, ":", target->port),
      "num_threads",        "3",
      "request_timeout_ms", "10000",
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
