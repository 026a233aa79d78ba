// SPDX-License-Identifier: Apache-2.0
#include "client/cli/metadata.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attend::cli {
namespace {

constexpr absl::string_view kRequestId = "x-request-id";

// The rules of grpc/doc/PROTOCOL-HTTP2.md, "Custom-Metadata".
absl::Status CheckName(absl::string_view name) {
  const auto refuse = [name](const auto&... why) {
    return absl::InvalidArgumentError(absl::StrCat("-H: the name \"", name, "\" ", why...));
  };
  const std::string lower = absl::AsciiStrToLower(name);
  const bool valid = !name.empty() && std::all_of(lower.begin(), lower.end(), [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-' || c == '.';
  });
  if (!valid) return refuse("must consist of a-z, 0-9, \"_\", \"-\" and \".\"");
  if (lower != name) return refuse("must be in lower case: \"", lower, "\"");
  if (absl::StartsWith(name, "grpc-")) return refuse("is reserved: gRPC uses names with \"grpc-\"");
  for (const absl::string_view own : {"te", "host", "user-agent", "content-type"}) {
    if (name == own) return refuse("is reserved: gRPC sets it");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadValue(absl::string_view name, absl::string_view text) {
  if (absl::EndsWith(name, "-bin")) {
    std::string bytes;
    if (!absl::Base64Unescape(text, &bytes)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "-H: the value of \"", name, "\" must be base64, because its name ends in \"-bin\""));
    }
    return bytes;
  }
  if (!std::all_of(text.begin(), text.end(),
                   [](unsigned char c) { return absl::ascii_isprint(c); })) {
    return absl::InvalidArgumentError(
        absl::StrCat("-H: the value of \"", name,
                     "\" must be printable ASCII; bytes need a name that ends in \"-bin\""));
  }
  return std::string(text);
}

}  // namespace

absl::Status ParseHeaders(const std::vector<std::string>& headers, client::Metadata* metadata,
                          std::string* request_id) {
  for (const std::string& header : headers) {
    const size_t colon = header.find(':');
    if (colon == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("-H must be \"name: value\", got \"", header, "\""));
    }
    const absl::string_view name =
        absl::StripAsciiWhitespace(absl::string_view(header).substr(0, colon));
    if (absl::Status s = CheckName(name); !s.ok()) return s;
    absl::StatusOr<std::string> value =
        ReadValue(name, absl::StripAsciiWhitespace(absl::string_view(header).substr(colon + 1)));
    if (!value.ok()) return value.status();
    if (name != kRequestId) {
      metadata->emplace_back(name, *std::move(value));
      continue;
    }
    if (!request_id->empty()) {
      return absl::InvalidArgumentError("-H: x-request-id is given twice");
    }
    if (value->empty() || value->size() > 128) {
      return absl::InvalidArgumentError("-H: x-request-id must have 1 to 128 characters");
    }
    *request_id = *std::move(value);
  }
  return absl::OkStatus();
}

}  // namespace attend::cli
