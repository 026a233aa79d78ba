// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/call_spec.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cpp/status.h"

namespace attend::client::internal {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;
constexpr absl::string_view kRequestIdKey = "x-request-id";

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return absl::ascii_isprint(c); });
}

// What gRPC's wire protocol allows as a name of custom metadata
// (grpc/doc/PROTOCOL-HTTP2.md).
bool IsKey(absl::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-' || c == '.';
  });
}

// Headers that gRPC or this library writes itself.
bool IsReserved(absl::string_view key) {
  for (const absl::string_view own : {"te", "host", "user-agent", "content-type"}) {
    if (key == own) return true;
  }
  return absl::StartsWith(key, "grpc-") || key == kRequestIdKey;
}

absl::Status CheckMetadata(const Metadata& metadata) {
  for (const auto& [key, value] : metadata) {
    const std::string shown = absl::StrCat("the key \"", absl::CHexEscape(key), "\" ");
    if (!IsKey(key)) {
      return LocalError("INVALID_OPTION", "metadata",
                        absl::StrCat(shown, "must be of a-z, 0-9, _, - and ."));
    }
    if (IsReserved(key)) {
      return LocalError("INVALID_OPTION", "metadata",
                        absl::StrCat(shown, "is reserved",
                                     key == kRequestIdKey ? "; set CallOptions::request_id" : ""));
    }
    if (!absl::EndsWith(key, "-bin") && !IsPrintable(value)) {
      return LocalError(
          "INVALID_OPTION", "metadata",
          absl::StrCat(shown, "must end in -bin to have a value that is not printable ASCII"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CallSpec> MakeCallSpec(const char* method, const grpc::ByteBuffer& request,
                                      const RetryPolicy& retry, const CallOptions& options,
                                      absl::Duration now) {
  if (options.timeout == absl::InfiniteDuration()) {
    return LocalError("INVALID_OPTION", "timeout", "must be finite");
  }
  if (options.request_id.size() > kMaxRequestIdBytes || !IsPrintable(options.request_id)) {
    return LocalError("INVALID_OPTION", "request_id",
                      "must be at most 128 printable ASCII characters");
  }
  if (absl::Status s = CheckMetadata(options.metadata); !s.ok()) return s;
  CallSpec spec = {.method = method,
                   .request = request,
                   .deadline = now + options.timeout,
                   .retry = retry,
                   .metadata = options.metadata,
                   .credentials = options.credentials,
                   .request_id = options.request_id,
                   .wait_for_ready = options.wait_for_ready,
                   .on_attempt = options.on_attempt};
  if (!spec.request_id.empty()) spec.metadata.emplace_back(kRequestIdKey, spec.request_id);
  return spec;
}

}  // namespace attend::client::internal
