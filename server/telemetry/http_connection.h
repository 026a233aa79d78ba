// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_HTTP_CONNECTION_H_
#define ATTEND_SERVER_TELEMETRY_HTTP_CONNECTION_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "server/telemetry/http_request.h"

namespace attend {

// One request over a socket that does not block: reads it, answers it, and waits for the peer to
// close, so that what the peer still sends does not cost it the answer. Owns the socket.
// Single-threaded.
class HttpConnection {
 public:
  HttpConnection(int fd, absl::Time end) : fd_(fd), end_(end) {}
  HttpConnection(HttpConnection&& other) = delete;
  ~HttpConnection();

  int fd() const { return fd_; }
  absl::Time end() const { return end_; }

  // What poll should wait for.
  short events() const;  // NOLINT(google-runtime-int): the type of pollfd::events

  // To be called when poll says so. `answer` is called once the request is there. False: the
  // connection is over.
  bool Advance(const std::function<HttpAnswer(const HttpHead&)>& answer);

 private:
  enum class State { kReading, kWriting, kClosing };

  bool Read(const std::function<HttpAnswer(const HttpHead&)>& answer);
  bool Write();

  const int fd_;
  const absl::Time end_;  // steady
  State state_ = State::kReading;
  std::string request_;
  std::string response_;
  size_t sent_ = 0;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_HTTP_CONNECTION_H_
