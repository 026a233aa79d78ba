// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/http_endpoint.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <list>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/engine/failures.h"
#include "server/net/listener.h"
#include "server/telemetry/http_connection.h"

namespace attend {
namespace {

// How long listeners are left alone that the system cannot take a connection from.
constexpr absl::Duration kPause = absl::Milliseconds(10);

class PollEndpoint final : public HttpEndpoint {
 public:
  PollEndpoint(std::vector<Listener> listeners, HttpPages pages, const HttpLimits& limits, int wake)
      : listeners_(std::move(listeners)),
        pages_(std::move(pages)),
        limits_(limits),
        wake_(wake),
        thread_([this] { Run(); }) {}

  ~PollEndpoint() override {
    const uint64_t one = 1;
    while (write(wake_, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
    thread_.join();
    close(wake_);
  }

  std::string address() const override { return listeners_.front().address(); }

 private:
  void Run() {
    while (true) {
      const absl::Time now = Clock::Steady().Now();
      // All have the same time from their start on, so the oldest ends first.
      while (!connections_.empty() && connections_.front().end() <= now) connections_.pop_front();
      const bool accepting = now >= paused_until_;
      std::vector<pollfd> polled = {{wake_, POLLIN, 0}};
      for (const Listener& listener : listeners_) {
        polled.push_back({accepting ? listener.fd() : -1, POLLIN, 0});
      }
      for (const HttpConnection& connection : connections_) {
        polled.push_back({connection.fd(), connection.events(), 0});
      }
      poll(polled.data(), polled.size(), PollMs(now, accepting));
      if (polled.front().revents != 0) return;
      size_t next = 1 + listeners_.size();
      for (auto it = connections_.begin(); it != connections_.end(); ++next) {
        const bool over = polled[next].revents != 0 &&
                          !it->Advance([this](const HttpHead& head) { return Answer(head); });
        it = over ? connections_.erase(it) : std::next(it);
      }
      for (size_t i = 0; i < listeners_.size(); ++i) {
        if (polled[1 + i].revents != 0) Accept(listeners_[i]);
      }
    }
  }

  int PollMs(absl::Time now, bool accepting) const {
    absl::Duration wait = absl::Hours(1);
    if (!connections_.empty()) wait = connections_.front().end() - now;
    if (!accepting) wait = std::min(wait, paused_until_ - now);
    // Rounded up, so that the time has come then.
    return static_cast<int>(absl::ToInt64Milliseconds(wait + absl::Milliseconds(1)));
  }

  void Accept(const Listener& listener) {
    const int fd = accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return;
      if (!connections_.empty()) return connections_.pop_front();
      paused_until_ = Clock::Steady().Now() + kPause;
      return;
    }
    if (connections_.size() >= limits_.connections) connections_.pop_front();
    connections_.emplace_back(fd, Clock::Steady().Now() + limits_.time);
  }

  HttpAnswer Answer(const HttpHead& head) const {
    HttpAnswer answer = {.code = 500, .body = "the page cannot be made\n"};
    CatchFailures([&] { answer = Find(head); }).IgnoreError();
    return answer;
  }

  HttpAnswer Find(const HttpHead& head) const {
    if (head.method != "GET" && head.method != "HEAD") {
      return {.code = 405, .body = "only GET and HEAD\n"};
    }
    if (head.path == "/metrics") {
      return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = pages_.metrics()};
    }
    if (head.path == "/healthz") return {.body = "ok\n"};
    if (head.path == "/") {
      return {.content_type = "text/html; charset=utf-8", .body = pages_.status()};
    }
    if (head.path != "/readyz") {
      return {.code = 404, .body = "there are /, /metrics, /healthz and /readyz\n"};
    }
    const absl::Status ready = pages_.ready();
    if (ready.ok()) return {.body = "ready\n"};
    return {.code = 503, .body = absl::StrCat("not ready: ", ready.message(), "\n")};
  }

  const std::vector<Listener> listeners_;
  const HttpPages pages_;
  const HttpLimits limits_;
  const int wake_;
  std::list<HttpConnection> connections_;  // of the thread, as the next; the oldest first
  absl::Time paused_until_ = absl::InfinitePast();
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(const std::string& address,
                                                                  HttpPages pages,
                                                                  const HttpLimits& limits) {
  absl::StatusOr<std::vector<Listener>> listeners = Listener::Open(address);
  if (!listeners.ok()) {
    return absl::Status(listeners.status().code(),
                        absl::StrCat("--metrics-listen: ", listeners.status().message()));
  }
  const int wake = eventfd(0, EFD_CLOEXEC);
  if (wake < 0) return absl::UnavailableError("no file descriptor is left for --metrics-listen");
  return std::make_unique<PollEndpoint>(*std::move(listeners), std::move(pages), limits, wake);
}

}  // namespace attend
