// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/server/raw_http2.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
};
constexpr uint32_t kInitialWindowSize = 4;  // of SETTINGS
constexpr uint8_t kAck = 1;
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;

// RFC 7541, 6.2.2: literal field without indexing, new name; all parts here are
// shorter than 127 bytes.
void AppendHeader(const std::string& name, const std::string& value, std::string& out) {
  out.push_back('\0');
  out.push_back(static_cast<char>(name.size()));
  out += name;
  out.push_back(static_cast<char>(value.size()));
  out += value;
}

// The big-endian number of `size` bytes that begins at `at`.
uint32_t Number(const std::string& bytes, size_t at, size_t size) {
  uint32_t number = 0;
  for (size_t i = at; i < at + size; ++i) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return number;
}

}  // namespace

RawHttp2::RawHttp2(const std::string& address, const std::string& source)
    : fd_(ConnectTcp(address, source)) {
  const timeval timeout = {30, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  send(fd_, preface.data(), preface.size(), MSG_NOSIGNAL);
  SendFrame(kSettings, 0, 0, "");
}

void RawHttp2::OpenWindows() {
  // SETTINGS_INITIAL_WINDOW_SIZE (4), 2^31 - 1, and the same for the connection, which has 65,535.
  SendFrame(kSettings, 0, 0, std::string("\0\4\x7f\xff\xff\xff", 6));
  SendFrame(kWindowUpdate, 0, 0, std::string("\x7f\xff\0\0", 4));
}

void RawHttp2::CloseWindow() {
  SendFrame(kSettings, 0, 0, std::string("\0\4\0\0\0\0", 6));
}

RawHttp2::~RawHttp2() {
  close(fd_);
}

void RawHttp2::StartCall(const std::string& path, const std::string& timeout, int fields) {
  std::string headers;
  AppendHeader(":method", "POST", headers);
  AppendHeader(":scheme", "http", headers);
  AppendHeader(":path", path, headers);
  AppendHeader(":authority", "test", headers);
  AppendHeader("te", "trailers", headers);
  AppendHeader("content-type", "application/grpc", headers);
  if (!timeout.empty()) AppendHeader("grpc-timeout", timeout, headers);
  for (int i = 0; i < fields; ++i) AppendHeader("x", std::string(99, 'y'), headers);
  SendFrame(kHeaders, kEndHeaders, 1, headers);
}

void RawHttp2::SendData(const std::string& bytes, bool end_stream) {
  SendFrame(kData, end_stream ? kEndStream : 0, 1, bytes);
}

void RawHttp2::SendMessage(const std::string& message) {
  std::string framed(1, '\0');
  for (const int shift : {24, 16, 8, 0}) {
    framed.push_back(static_cast<char>(message.size() >> shift));
  }
  SendData(framed + message, true);
}

bool RawHttp2::SendBeginning(uint32_t size, int64_t sent, int64_t frame_bytes) {
  std::string head(1, '\0');
  for (const int shift : {24, 16, 8, 0}) head.push_back(static_cast<char>(size >> shift));
  SendData(head, false);
  connection_window_ -= 5;
  stream_window_ -= 5;
  while (sent > 0) {
    const int64_t bytes = std::min({sent, int64_t{16'384}, connection_window_, stream_window_});
    if (bytes > 0) {
      std::string frames;
      for (int64_t left = bytes; left > 0; left -= frame_bytes) {
        const auto piece = static_cast<size_t>(std::min(left, frame_bytes));
        frames += FrameText(kData, 0, 1, std::string(piece, 'x'));
      }
      if (send(fd_, frames.data(), frames.size(), MSG_NOSIGNAL) < 0) return false;
      connection_window_ -= bytes;
      stream_window_ -= bytes;
      sent -= bytes;
    } else if (Frame frame; !ReadFrame(frame)) {
      return false;
    }
  }
  return true;
}

bool RawHttp2::WaitForEnd() {
  for (Frame frame; ReadFrame(frame);) {
    if (frame.type == kRstStream || frame.type == kGoAway) return true;
    if ((frame.type == kHeaders || frame.type == kData) && (frame.flags & kEndStream) != 0) {
      return true;
    }
  }
  return false;
}

bool RawHttp2::ReadFrame(Frame& frame) {
  std::string head;
  if (!ReadExactly(9, head)) return false;
  const size_t size = Number(head, 0, 3);
  frame.type = static_cast<uint8_t>(head[3]);
  frame.flags = static_cast<uint8_t>(head[4]);
  frame.stream = Number(head, 5, 4);
  if (!ReadExactly(size, frame.payload)) return false;
  if (frame.type == kPing && (frame.flags & kAck) == 0) SendFrame(kPing, kAck, 0, frame.payload);
  if (frame.type == kWindowUpdate) {
    (frame.stream == 0 ? connection_window_ : stream_window_) += Number(frame.payload, 0, 4);
  }
  if (frame.type == kSettings && (frame.flags & kAck) == 0) {
    for (size_t at = 0; at < size; at += 6) {
      if (Number(frame.payload, at, 2) != kInitialWindowSize) continue;
      const int64_t window = Number(frame.payload, at + 2, 4);
      stream_window_ += window - std::exchange(initial_window_, window);
    }
    SendFrame(kSettings, kAck, 0, "");
  }
  return true;
}

std::string RawHttp2::FrameText(uint8_t type, uint8_t flags, uint32_t stream,
                                const std::string& payload) {
  std::string frame;
  for (const int shift : {16, 8, 0}) frame.push_back(static_cast<char>(payload.size() >> shift));
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
  return frame + payload;
}

void RawHttp2::SendFrame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  const std::string frame = FrameText(type, flags, stream, payload);
  send(fd_, frame.data(), frame.size(), MSG_NOSIGNAL);
}

bool RawHttp2::ReadExactly(size_t size, std::string& out) {
  out.resize(size);
  for (size_t at = 0; at < size;) {
    const ssize_t n = recv(fd_, out.data() + at, size - at, 0);
    if (n <= 0) return false;
    at += static_cast<size_t>(n);
  }
  return true;
}

}  // namespace attend
