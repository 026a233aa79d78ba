#ifndef ATTEND_CORE_ENGINE_PLAN_H_
#define ATTEND_CORE_ENGINE_PLAN_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "core/attention/problem.h"
#include "core/attention/resolve.h"
#include "core/engine/request.h"
#include "core/layer/layer.h"

namespace attend {

// From a request to what the kernels run, in two steps, so that memory is charged
// between them: a plan checks everything and allocates nothing but itself; binding
// a plan to outputs cannot fail. Pure, thread-safe.

struct Plan {
  BatchShape shape;
  ResolvedOptions options;
  DataType type = DataType::kFloat32;  // of query, key, value and output
  Shape output_shape;
  size_t output_bytes = 0;

  // Heads of the operator; a layer knows its own.
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t value_head_dim = 0;

  // What the request holds beside its inputs: output, weights, log-sum-exp,
  // descriptions of sequences.
  int64_t Bytes() const;
};

// INVALID_ARGUMENT where the request does not keep the contract.
absl::StatusOr<Plan> PlanLayer(const MultiHeadAttentionRequest& request, const LayerConfig& layer,
                               const ShapeLimits& limits);
absl::StatusOr<Plan> PlanOperator(const ScaledDotProductAttentionRequest& request,
                                  const ShapeLimits& limits);

// `response` holds output, and weights and log_sum_exp where they are asked for, in the plan's
// shapes; padding in them is filled. The results borrow from all arguments. Sequences without
// query rows are left out: nothing of them is computed.
LayerItem BindLayer(const MultiHeadAttentionRequest& request, const Plan& plan, Response& response);
AttentionProblem BindOperator(const ScaledDotProductAttentionRequest& request, const Plan& plan,
                              Response& response);

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_PLAN_H_
