// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/http_request.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace attend {
namespace {

absl::string_view Phrase(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Unknown";
  }
}

// "METHOD /path?query HTTP/1.x"
bool ReadRequestLine(absl::string_view line, HttpHead& head) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == absl::string_view::npos || last == first) return false;
  const absl::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
  head.method = line.substr(0, first);
  const absl::string_view target = line.substr(first + 1, last - first - 1);
  head.path = target.substr(0, target.find('?'));
  return !head.method.empty() &&
         std::all_of(head.method.begin(), head.method.end(), absl::ascii_isupper) &&
         absl::StartsWith(head.path, "/") &&
         std::all_of(head.path.begin(), head.path.end(), absl::ascii_isgraph);
}

}  // namespace

HttpHead ReadHttpHead(absl::string_view bytes) {
  HttpHead head;
  const size_t end = bytes.find("\r\n\r\n");
  if (std::min(end, bytes.size()) > kMaxHttpHeadBytes) {
    head.state = HttpHead::State::kTooLarge;
    return head;
  }
  if (end == absl::string_view::npos) return head;
  head.state = ReadRequestLine(bytes.substr(0, bytes.find("\r\n")), head)
                   ? HttpHead::State::kComplete
                   : HttpHead::State::kMalformed;
  return head;
}

std::string FormatHttpAnswer(const HttpAnswer& answer, bool with_body) {
  // A browser that shows a page lets it load nothing, and run and fetch only what is its own.
  std::string text = absl::StrCat(
      "HTTP/1.1 ", answer.code, " ", Phrase(answer.code), "\r\nContent-Type: ", answer.content_type,
      "\r\nContent-Length: ", answer.body.size(),
      "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'\r\n",
      answer.code == 405 ? "Allow: GET, HEAD\r\n" : "", "Connection: close\r\n\r\n");
  if (with_body) text += answer.body;
  return text;
}

}  // namespace attend
