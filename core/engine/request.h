#ifndef ATTEND_CORE_ENGINE_REQUEST_H_
#define ATTEND_CORE_ENGINE_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "core/attention/options.h"
#include "core/base/memory_budget.h"
#include "core/tensor/tensor.h"

namespace attend {

// The requests as the wire has them (attend.v1), decoded and not yet checked.

struct MultiHeadAttentionRequest {
  std::string layer;
  Tensor query;
  std::optional<Tensor> key;
  std::optional<Tensor> value;
  std::vector<int64_t> query_lengths;  // empty: absent
  std::vector<int64_t> key_lengths;
  AttentionOptions options;
  uint32_t priority = 0;
};

enum class Layout { kBlhd, kBhld };

struct ScaledDotProductAttentionRequest {
  Tensor query;
  Tensor key;
  Tensor value;
  std::vector<int64_t> query_lengths;
  std::vector<int64_t> key_lengths;
  AttentionOptions options;
  Layout layout = Layout::kBlhd;
  uint32_t priority = 0;
};

using Request = std::variant<MultiHeadAttentionRequest, ScaledDotProductAttentionRequest>;

struct Timing {
  absl::Duration queue;    // from acceptance to the start of its batch
  absl::Duration compute;  // of its batch
  int64_t batch_requests = 0;
  int64_t batch_tokens = 0;
};

struct Response {
  Tensor output;
  std::optional<Tensor> weights;
  std::optional<Tensor> log_sum_exp;
  std::string layer_sha256;  // empty for the bare operator
  Timing timing;
  MemoryCharge charge;  // released with the response, when its bytes have left
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_REQUEST_H_
