// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_OPERATOR_OPERATION_H_
#define ATTEND_CORE_ENGINE_OPERATOR_OPERATION_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/attention/lengths.h"
#include "core/attention/problem.h"
#include "core/engine/item_runner.h"
#include "core/engine/operation.h"
#include "core/engine/request.h"

namespace attend {

// Runs the batches of the bare operator, which has no weights: all its requests may run
// together.
class OperatorRunner final : public ItemRunner<AttentionProblem> {
 public:
  using ItemRunner::ItemRunner;

 private:
  void Compute(absl::Span<const AttentionProblem* const> batch, ExecutionContext& context) override;
};

// A request to the bare operator.
class OperatorOperation final : public Operation {
 public:
  // INVALID_ARGUMENT if the request breaks the contract.
  static absl::StatusOr<std::unique_ptr<Operation>> Create(ScaledDotProductAttentionRequest request,
                                                           OperatorRunner& runner,
                                                           const ShapeLimits& limits);

 private:
  OperatorOperation(ScaledDotProductAttentionRequest request, OperatorRunner& runner);

  Prediction Predict(const CheckedRequest& checked) const;
  void HandOver(int lane, Response& response, absl::Status& failure) override;
  void DropRequest() override { request_.reset(); }

  OperatorRunner& runner_;
  std::optional<ScaledDotProductAttentionRequest> request_;
  AttentionProblem problem_;  // borrows from the request, its check and the response
  std::vector<SequenceProblem> sequences_;
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_OPERATOR_OPERATION_H_
