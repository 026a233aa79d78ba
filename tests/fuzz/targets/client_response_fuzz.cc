// SPDX-License-Identifier: Apache-2.0

// Both responses of the operator, as the client decodes them from a server that it need not trust.
// The first byte chooses the response.

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>

#include "attend/v1/attention.pb.h"
#include "client/cpp/codec.h"
#include "client/cpp/status.h"
#include "tests/fuzz/targets/any_text.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/fuzz/targets/listed_refusals.h"
#include "tests/fuzz/targets/received_input.h"

namespace attend::client::internal {
namespace {

constexpr size_t kMostWarnings = 16;

void RequireEqual(const Tensor& tensor, const v1::Tensor& proto) {
  Require(static_cast<int>(tensor.type()) == proto.data_type(), "the type is protobuf's");
  Require(Shape(proto.shape().begin(), proto.shape().end()) == tensor.shape(),
          "the shape is protobuf's", proto.DebugString());
  Require(tensor.size_bytes() == proto.data().size() &&
              (proto.data().empty() ||
               std::memcmp(tensor.data(), proto.data().data(), proto.data().size()) == 0),
          "the data are protobuf's");
}

template <typename Proto>
void Check(const ChunkedInput& input, const ResponseFields& fields) {
  const absl::StatusOr<AttentionResponse> response = Decode(ToBuffer(input), fields);
  if (!response.ok()) {
    Require(absl::IsDataLoss(response.status()), "bytes that are no response are DATA_LOSS",
            response.status().ToString());
    Proto proto;
    Require(!proto.ParseFromString(input.bytes()) || IsListedRefusal(proto, input.bytes()),
            "a refusal is listed", proto.DebugString());
    return;
  }
  // Protobuf refuses text that is not UTF-8, which the client hands on as it is.
  static auto& parser = *new AnyTextParser<Proto>;
  Require(parser.Parse(input.bytes()) != nullptr, "protobuf parses what the client accepts");
  Proto proto;
  if (!proto.ParseFromString(input.bytes())) return;
  RequireEqual(response->output, proto.output());
  Require(response->weights.has_value() == proto.has_weights(), "weights are there or not");
  if (proto.has_weights()) RequireEqual(*response->weights, proto.weights());
  Require(response->log_sum_exp.has_value() == proto.has_log_sum_exp(),
          "a log-sum-exp is there or not");
  if (proto.has_log_sum_exp()) RequireEqual(*response->log_sum_exp, proto.log_sum_exp());
  const v1::Timing& timing = proto.timing();
  Require(response->timing.queue == absl::Nanoseconds(timing.queue_ns()) &&
              response->timing.compute == absl::Nanoseconds(timing.compute_ns()) &&
              response->timing.batch_requests == timing.batch_requests() &&
              response->timing.batch_tokens == timing.batch_tokens(),
          "the timing is protobuf's", proto.DebugString());
  if constexpr (std::is_same_v<Proto, v1::MultiHeadAttentionResponse>) {
    Require(response->layer_sha256 == proto.layer_sha256(), "the hash is protobuf's");
    // More than a server of ours sends are left out.
    const auto& warnings = proto.warnings();
    Require(response->warnings.size() == std::min<size_t>(warnings.size(), kMostWarnings) &&
                std::equal(response->warnings.begin(), response->warnings.end(), warnings.begin()),
            "the warnings are protobuf's", proto.DebugString());
  }
}

}  // namespace
}  // namespace attend::client::internal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attend::client::internal;
  if (size == 0) return 0;
  const attend::ChunkedInput input(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    Check<attend::v1::MultiHeadAttentionResponse>(input, kMultiHeadAttentionFields);
  } else {
    Check<attend::v1::ScaledDotProductAttentionResponse>(input, kScaledDotProductAttentionFields);
  }
  return 0;
}
