// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_ATTENTION_H_
#define ATTEND_CLIENT_CPP_ATTEND_ATTENTION_H_

// What is asked and what is answered. Field by field the messages of
// attend/v1/attention.proto, which says what each means, its shapes (letters
// B, Lq, Lk, E, H, Hkv, D) and its errors; here only what C++ adds.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "attend/tensor.h"

namespace attend::client {

enum class Alignment { kUnspecified = 0, kStart = 1, kEnd = 2 };
enum class Weights { kNone = 1, kPerHead = 2, kMean = 3 };
enum class WeightsStage { kProbabilities = 1, kScaled = 2, kSoftcapped = 3, kBiased = 4 };
enum class Layout { kBlhd = 1, kBhld = 2 };
enum class Priority { kHigh = 1, kNormal = 2, kLow = 3 };

struct AttentionOptions {
  std::optional<float> scale;  // absent: the layer's, else 1/sqrt(D)
  bool causal = false;
  Alignment alignment = Alignment::kUnspecified;
  std::vector<int64_t> query_offsets;  // empty: not given
  std::optional<int64_t> window_left;  // absent: the layer's, else unbounded
  std::optional<int64_t> window_right;
  std::optional<float> softcap;   // absent: the layer's, else none
  TensorView bias;                // a default TensorView: not given
  TensorView mask;                // bool; true = may attend
  TensorView alibi_slopes;        // [H] or [B, H]
  std::vector<float> sinks;       // empty: none
  std::vector<float> head_gates;  // empty: all 1
  Weights weights = Weights::kNone;
  WeightsStage weights_stage = WeightsStage::kProbabilities;
  bool log_sum_exp = false;
};

// Attention with the projections of a layer that the server holds.
struct MultiHeadAttentionRequest {
  std::string layer;
  TensorView query;
  TensorView key;                      // not given: query
  TensorView value;                    // not given: key
  std::vector<int64_t> query_lengths;  // empty: not given
  std::vector<int64_t> key_lengths;
  AttentionOptions options;
  Priority priority = Priority::kNormal;
};

// The scaled-dot-product operator alone.
struct ScaledDotProductAttentionRequest {
  TensorView query;
  TensorView key;
  TensorView value;
  std::vector<int64_t> query_lengths;
  std::vector<int64_t> key_lengths;
  AttentionOptions options;
  Layout layout = Layout::kBlhd;
  Priority priority = Priority::kNormal;
};

// How the server served it.
struct Timing {
  absl::Duration queue;
  absl::Duration compute;  // of the whole batch
  int64_t batch_requests = 0;
  int64_t batch_tokens = 0;
};

struct AttentionResponse {
  Tensor output;
  std::optional<Tensor> weights;      // where AttentionOptions.weights asked for them
  std::optional<Tensor> log_sum_exp;  // where AttentionOptions.log_sum_exp asked for it
  std::string layer_sha256;           // empty for the operator
  // What in the request is allowed, but is most probably a mistake: sentences of the server's for
  // people, which may hold any bytes.
  std::vector<std::string> warnings;
  Timing timing;
  int attempts = 1;        // calls made, retries included
  std::string request_id;  // CallOptions.request_id, or the server's own
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_ATTENTION_H_
