#ifndef ATTEND_CORE_ENGINE_PLAN_H_
#define ATTEND_CORE_ENGINE_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/attention/lengths.h"
#include "core/attention/problem.h"
#include "core/attention/resolve_options.h"
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

  HeadShape heads;

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
// shapes; padding in them is filled. The results borrow from all arguments, the plan included.
// Sequences without query rows are left out: nothing of them is computed.
LayerItem BindLayer(const MultiHeadAttentionRequest& request, const Plan& plan, Response& response);
// `sequences` is filled with those of the problem.
AttentionProblem BindOperator(const ScaledDotProductAttentionRequest& request, const Plan& plan,
                              Response& response, std::vector<SequenceProblem>& sequences);

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_PLAN_H_
