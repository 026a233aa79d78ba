// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CLIENT_CPP_RAW_SERVER_H_
#define ATTEND_TESTS_CLIENT_CPP_RAW_SERVER_H_

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/string_view.h"
#include "tests/client/loopback_listener.h"

namespace attend::client {

// One frame of HTTP/2 (RFC 9113, section 4.1).
struct Frame {
  static constexpr uint8_t kData = 0;
  static constexpr uint8_t kPing = 6;

  uint8_t type() const { return static_cast<uint8_t>(bytes[3]); }
  absl::string_view payload() const { return absl::string_view(bytes).substr(9); }

  std::string bytes;
};

// A server of one connection that sees the frames of its client, and itself says only what a test
// lets it say.
class RawServer {
 public:
  // `answer` runs with each frame, on the server's thread; what it returns is sent.
  explicit RawServer(std::function<std::string(const Frame&)> answer)
      : answer_(std::move(answer)), thread_([this] { Serve(); }) {}
  // To be called after the end of the client.
  ~RawServer() {
    shutdown(listener_.fd(), SHUT_RDWR);
    thread_.join();
  }

  const std::string& address() const { return listener_.address(); }

  // Sends the server's SETTINGS, without which the client begins no call. Once.
  void Start() { started_.count_down(); }

 private:
  void Serve() {
    started_.wait();
    const int connection = accept(listener_.fd(), nullptr, nullptr);
    if (connection < 0) return;
    Send(connection, std::string("\0\0\0\4\0\0\0\0\0", 9));
    std::string bytes;
    bool has_preface = false;
    char part[4096];
    for (ssize_t n; (n = recv(connection, part, sizeof(part), 0)) > 0;) {
      bytes.append(part, static_cast<size_t>(n));
      constexpr size_t kPreface = 24;
      if (!has_preface && bytes.size() >= kPreface) {
        bytes.erase(0, kPreface);
        has_preface = true;
      }
      if (has_preface) TakeFrames(connection, bytes);
    }
    close(connection);
  }

  // Takes whole frames off the front of `bytes`.
  void TakeFrames(int connection, std::string& bytes) {
    constexpr size_t kHead = 9;
    const auto at = [&bytes](size_t i) { return static_cast<uint8_t>(bytes[i]); };
    while (bytes.size() >= kHead) {
      const size_t size = kHead + (size_t{at(0)} << 16 | size_t{at(1)} << 8 | size_t{at(2)});
      if (bytes.size() < size) return;
      Send(connection, answer_({bytes.substr(0, size)}));
      bytes.erase(0, size);
    }
  }

  static void Send(int connection, const std::string& bytes) {
    if (!bytes.empty()) send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  const std::function<std::string(const Frame&)> answer_;
  const LoopbackListener listener_;
  std::latch started_{1};
  std::thread thread_;
};

}  // namespace attend::client

#endif  // ATTEND_TESTS_CLIENT_CPP_RAW_SERVER_H_
