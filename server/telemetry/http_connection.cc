// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/http_connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace attend {
namespace {

bool IsAgain(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

}  // namespace

HttpConnection::~HttpConnection() {
  close(fd_);
}

short HttpConnection::events() const {  // NOLINT(google-runtime-int)
  return state_ == State::kWriting ? POLLOUT : POLLIN;
}

bool HttpConnection::Advance(const std::function<HttpAnswer(const HttpHead&)>& answer) {
  return state_ == State::kWriting ? Write() : Read(answer);
}

bool HttpConnection::Read(const std::function<HttpAnswer(const HttpHead&)>& answer) {
  std::array<char, 4096> piece;
  const ssize_t bytes = recv(fd_, piece.data(), piece.size(), 0);
  if (IsAgain(bytes)) return true;
  if (bytes <= 0) return false;
  if (state_ == State::kClosing) return true;
  request_.append(piece.data(), static_cast<size_t>(bytes));
  const HttpHead head = ReadHttpHead(request_);
  switch (head.state) {
    case HttpHead::State::kIncomplete:
      return true;
    case HttpHead::State::kMalformed:
      response_ = FormatHttpAnswer({.code = 400, .body = "not an HTTP/1.1 request\n"}, true);
      break;
    case HttpHead::State::kTooLarge:
      response_ = FormatHttpAnswer({.code = 431, .body = "the headers are too large\n"}, true);
      break;
    case HttpHead::State::kComplete:
      response_ = FormatHttpAnswer(answer(head), head.method != "HEAD");
      break;
  }
  state_ = State::kWriting;
  return Write();
}

bool HttpConnection::Write() {
  const ssize_t bytes = send(fd_, response_.data() + sent_, response_.size() - sent_, MSG_NOSIGNAL);
  if (IsAgain(bytes)) return true;
  if (bytes < 0) return false;
  sent_ += static_cast<size_t>(bytes);
  if (sent_ < response_.size()) return true;
  shutdown(fd_, SHUT_WR);
  state_ = State::kClosing;
  return true;
}

}  // namespace attend
