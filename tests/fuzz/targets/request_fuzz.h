// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_FUZZ_TARGETS_REQUEST_FUZZ_H_
#define ATTEND_TESTS_FUZZ_TARGETS_REQUEST_FUZZ_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/codec/limits.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/fuzz/targets/listed_refusals.h"
#include "tests/server/codec/matches_proto.h"

namespace attend {

inline constexpr int kMaxList = 1000;
inline constexpr DecodeLimits kFuzzLimits{kMaxList, kMaxList};

// What `decode` accepts must be what protobuf's own class says of the same bytes, so that nothing
// is accepted that protobuf refuses. What is refused beyond that must be listed
// (listed_refusals.h), and is refused with one of two codes.
template <typename Proto, typename Decode>
void CheckRequest(const ChunkedInput& input, Decode decode) {
  const auto request = decode(input.wire(), kFuzzLimits);
  if (!request.ok()) {
    const absl::StatusCode code = request.status().code();
    Require(code == absl::StatusCode::kInvalidArgument || code == absl::StatusCode::kUnimplemented,
            "a refusal is INVALID_ARGUMENT or UNIMPLEMENTED", request.status().ToString());
  }
  Proto proto;
  const bool parsed = proto.ParseFromString(input.bytes());
  if (!request.ok()) {
    Require(!parsed || IsListedRefusal(proto, input.bytes(), kMaxList), "a refusal is listed",
            absl::StrCat(request.status().ToString(), "\n", proto.DebugString()));
    return;
  }
  Require(parsed, "protobuf parses what is accepted");
  Require(Matches(*request, proto), "the request means what protobuf says", proto.DebugString());
}

}  // namespace attend

#endif  // ATTEND_TESTS_FUZZ_TARGETS_REQUEST_FUZZ_H_
