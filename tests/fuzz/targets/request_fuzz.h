// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_FUZZ_TARGETS_REQUEST_FUZZ_H_
#define ATTEND_TESTS_FUZZ_TARGETS_REQUEST_FUZZ_H_

#include <string>

#include "server/codec/limits.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/server/codec/matches_proto.h"

namespace attend {

inline constexpr DecodeLimits kFuzzLimits{1000, 1000};

// What `decode` accepts must be what protobuf's own class says of the same bytes, so that nothing
// is accepted that protobuf refuses. What is refused beyond that is listed in request_decoder.h,
// and must be refused with one of two codes.
template <typename Proto, typename Decode>
void CheckRequest(const ChunkedInput& input, Decode decode) {
  const auto request = decode(input.wire(), kFuzzLimits);
  if (!request.ok()) {
    const absl::StatusCode code = request.status().code();
    Require(code == absl::StatusCode::kInvalidArgument || code == absl::StatusCode::kUnimplemented,
            "a refusal is INVALID_ARGUMENT or UNIMPLEMENTED", request.status().ToString());
    return;
  }
  Proto proto;
  Require(proto.ParseFromString(input.bytes()), "protobuf parses what is accepted");
  Require(Matches(*request, proto), "the request means what protobuf says", proto.DebugString());
}

}  // namespace attend

#endif  // ATTEND_TESTS_FUZZ_TARGETS_REQUEST_FUZZ_H_
