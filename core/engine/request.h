// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_REQUEST_H_
#define ATTEND_CORE_ENGINE_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "core/attention/options.h"
#include "core/base/memory_budget.h"
#include "core/batching/priority.h"
#include "core/batching/work_item.h"
#include "core/tensor/tensor.h"

namespace attend {

// The requests of attend.v1, decoded and not yet checked.

struct MultiHeadAttentionRequest {
  std::string layer;
  Tensor query;
  std::optional<Tensor> key;
  std::optional<Tensor> value;
  std::vector<int64_t> query_lengths;  // empty: absent
  std::vector<int64_t> key_lengths;
  AttentionOptions options;
  Priority priority = Priority::kNormal;
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
  Priority priority = Priority::kNormal;
};

using Request = std::variant<MultiHeadAttentionRequest, ScaledDotProductAttentionRequest>;

inline Priority GetPriority(const Request& request) {
  return std::visit([](const auto& typed) { return typed.priority; }, request);
}

struct Response {
  Tensor output;
  std::optional<Tensor> weights;
  std::optional<Tensor> log_sum_exp;
  std::string layer_sha256;           // empty for the bare operator
  std::vector<std::string> warnings;  // see FindWarnings; none for the bare operator
  Timing timing;
  MemoryCharge charge;  // released with the response, when its bytes have left
};

using ResponseCallback = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_REQUEST_H_
