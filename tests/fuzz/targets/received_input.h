// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_FUZZ_TARGETS_RECEIVED_INPUT_H_
#define ATTEND_TESTS_FUZZ_TARGETS_RECEIVED_INPUT_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <vector>

#include "absl/strings/string_view.h"
#include "tests/fuzz/targets/fuzz_input.h"

namespace attend {

// The input as gRPC hands on a message: a slice for each chunk.
inline grpc::ByteBuffer ToBuffer(const ChunkedInput& input) {
  std::vector<grpc::Slice> slices;
  for (const absl::string_view chunk : input.chunks()) {
    slices.emplace_back(chunk.data(), chunk.size());
  }
  if (slices.empty()) slices.emplace_back();
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace attend

#endif  // ATTEND_TESTS_FUZZ_TARGETS_RECEIVED_INPUT_H_
