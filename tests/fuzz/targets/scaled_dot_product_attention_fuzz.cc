// SPDX-License-Identifier: Apache-2.0
#include "attend/v1/attention.pb.h"
#include "server/codec/request_decoder.h"
#include "tests/fuzz/targets/request_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const attend::ChunkedInput input(data, size);
  attend::CheckRequest<attend::v1::ScaledDotProductAttentionRequest>(
      input, attend::DecodeScaledDotProductAttentionRequest);
  return 0;
}
