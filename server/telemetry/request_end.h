// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_REQUEST_END_H_
#define ATTEND_SERVER_TELEMETRY_REQUEST_END_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace attend {

// What a request is known by and what became of its stages; zero where it did not come so far.
struct RequestDetails {
  std::string layer;  // empty: none, or not known yet
  int64_t rows = 0;   // of the result
  int64_t bytes_in = 0;
  int64_t bytes_out = 0;
  absl::Duration decode = absl::ZeroDuration();
  absl::Duration queue = absl::ZeroDuration();
  absl::Duration compute = absl::ZeroDuration();
  absl::Duration encode = absl::ZeroDuration();
};

// The end of a request. Borrows its texts.
struct RequestEnd {
  absl::string_view service = {};     // with its package; empty: none has the method
  absl::string_view method = {};      // without its service; empty likewise
  std::optional<uint64_t> item = {};  // id of a request of a Pipeline
  absl::StatusCode code = absl::StatusCode::kOk;
  absl::string_view reason = {};  // of an error
  absl::string_view request_id = {};
  absl::string_view traceparent = {};  // empty: none
  absl::string_view caller = {};
  absl::string_view identity = {};  // empty: none
  absl::Duration duration = absl::ZeroDuration();
  const RequestDetails& details;
};

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_REQUEST_END_H_
