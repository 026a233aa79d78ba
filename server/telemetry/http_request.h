// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_HTTP_REQUEST_H_
#define ATTEND_SERVER_TELEMETRY_HTTP_REQUEST_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace attend {

// Of a request's first line and headers together.
inline constexpr size_t kMaxHttpHeadBytes = 8 << 10;

// What the first bytes of a connection ask for (RFC 9112). Headers are not read.
struct HttpHead {
  enum class State {
    kIncomplete,  // more bytes must come
    kMalformed,   // 400
    kTooLarge,    // 431
    kComplete,
  };
  State state = State::kIncomplete;
  absl::string_view method;  // of a complete head, as `path`; both borrow the bytes
  absl::string_view path;    // without the query
};
HttpHead ReadHttpHead(absl::string_view bytes);

struct HttpAnswer {
  int code = 200;
  absl::string_view content_type = "text/plain; charset=utf-8";
  std::string body;
};

// The whole response, after which the connection ends. HEAD is answered without the body.
std::string FormatHttpAnswer(const HttpAnswer& answer, bool with_body);

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_HTTP_REQUEST_H_
