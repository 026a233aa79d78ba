// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/server/raw_http2.h"

#include <sys/socket.h>
#include <unistd.h>

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

}  // namespace

RawHttp2::RawHttp2(const std::string& address) : fd_(ConnectTcp(address)) {
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

void RawHttp2::StartCall(const std::string& path, const std::string& timeout) {
  std::string headers;
  AppendHeader(":method", "POST", headers);
  AppendHeader(":scheme", "http", headers);
  AppendHeader(":path", path, headers);
  AppendHeader(":authority", "test", headers);
  AppendHeader("te", "trailers", headers);
  AppendHeader("content-type", "application/grpc", headers);
  if (!timeout.empty()) AppendHeader("grpc-timeout", timeout, headers);
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

bool RawHttp2::WaitForEnd() {
  while (true) {
    std::string head, payload;
    if (!ReadExactly(9, head)) return false;
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(head[i]); };
    const size_t size = size_t{byte(0)} << 16 | size_t{byte(1)} << 8 | byte(2);
    if (!ReadExactly(size, payload)) return false;
    const uint8_t type = byte(3), flags = byte(4);
    if (type == kSettings && (flags & kAck) == 0) SendFrame(kSettings, kAck, 0, "");
    if (type == kPing && (flags & kAck) == 0) SendFrame(kPing, kAck, 0, payload);
    if (type == kRstStream || type == kGoAway) return true;
    if ((type == kHeaders || type == kData) && (flags & kEndStream) != 0) return true;
  }
}

void RawHttp2::SendFrame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  std::string frame;
  for (const int shift : {16, 8, 0}) frame.push_back(static_cast<char>(payload.size() >> shift));
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
  frame += payload;
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
