// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_INTEGRATION_SERVER_RAW_HTTP2_H_
#define ATTEND_TESTS_INTEGRATION_SERVER_RAW_HTTP2_H_

#include <cstdint>
#include <string>

namespace attend {

// A small client of HTTP/2 (RFC 9113) that can send a server what no gRPC client would: frames
// by hand, headers as literals without Huffman coding.
class RawHttp2 {
 public:
  // Connects, as ConnectTcp does, and sends the preface with empty settings.
  explicit RawHttp2(const std::string& address, const std::string& source = "");
  ~RawHttp2();

  // Lets the server send as much as it likes, whether it is read or not.
  void OpenWindows();

  // Lets the server send no byte of a message.
  void CloseWindow();

  // Opens stream 1 as a gRPC call. `timeout` has the form of grpc-timeout, e.g. "500m"; empty:
  // the call has no deadline. `fields` more of 100 bytes each are sent with it, 150 at most.
  void StartCall(const std::string& path, const std::string& timeout, int fields = 0);

  void SendData(const std::string& bytes, bool end_stream);

  // Sends a whole message with its length before it and ends the stream. The message must fit
  // into one frame, which holds 16,384 bytes.
  void SendMessage(const std::string& message);

  // Sends the beginning of a message of `size` bytes, `sent` of them in frames of `frame_bytes`, as
  // fast as the server grants windows; false if the connection closes before.
  bool SendBeginning(uint32_t size, int64_t sent, int64_t frame_bytes = 16'384);

  // Reads frames until stream 1 ends, answering SETTINGS and PING; false if the connection
  // closes before, or nothing comes for 30 s.
  bool WaitForEnd();

 private:
  struct Frame {
    uint8_t type = 0;
    uint8_t flags = 0;
    uint32_t stream = 0;
    std::string payload;
  };

  static std::string FrameText(uint8_t type, uint8_t flags, uint32_t stream,
                               const std::string& payload);
  void SendFrame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);
  // Answers SETTINGS and PING, and adds to the windows; false: the connection is closed.
  bool ReadFrame(Frame& frame);
  bool ReadExactly(size_t size, std::string& out);

  int fd_ = -1;
  // What the server lets be sent, on the connection and on stream 1 (RFC 9113, 6.9.2).
  int64_t connection_window_ = 65'535;
  int64_t stream_window_ = 65'535;
  int64_t initial_window_ = 65'535;
};

}  // namespace attend

#endif  // ATTEND_TESTS_INTEGRATION_SERVER_RAW_HTTP2_H_
