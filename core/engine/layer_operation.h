// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_LAYER_OPERATION_H_
#define ATTEND_CORE_ENGINE_LAYER_OPERATION_H_

#include <deque>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "core/attention/lengths.h"
#include "core/engine/item_runner.h"
#include "core/engine/operation.h"
#include "core/engine/request.h"
#include "core/exec/execution_context.h"
#include "core/layer/layer.h"
#include "core/layer/layer_item.h"
#include "core/layer/layer_rates.h"

namespace attend {

// A request and the layer that it began with, which lives as long as it.
struct LayerWork {
  const Layer* layer = nullptr;
  LayerItem item;
};

// Runs the batches of one name's layers. A layer that replaces another has its form and its rates.
class LayerRunner final : public ItemRunner<LayerWork> {
 public:
  LayerRunner(const LayerRates& rates, std::deque<ExecutionContext>& contexts)
      : ItemRunner(contexts), rates_(rates) {}

  const LayerRates& rates() const { return rates_; }
  double batch_seconds() const override { return rates_.batch; }

 private:
  void Compute(absl::Span<const LayerWork* const> batch, ExecutionContext& context) override;

  const LayerRates rates_;
};

// A request to a layer.
class LayerOperation final : public Operation {
 public:
  // INVALID_ARGUMENT if the request breaks the contract.
  static absl::StatusOr<std::unique_ptr<Operation>> Create(MultiHeadAttentionRequest request,
                                                           std::shared_ptr<const Layer> layer,
                                                           LayerRunner& runner,
                                                           const ShapeLimits& limits);

 private:
  LayerOperation(MultiHeadAttentionRequest request, std::shared_ptr<const Layer> layer,
                 LayerRunner& runner);

  Prediction Predict(const CheckedRequest& checked) const;
  void HandOver(int lane, Response& response, absl::Status& failure) override;
  void DropRequest() override { request_.reset(); }

  LayerRunner& runner_;
  const std::shared_ptr<const Layer> layer_;
  std::optional<MultiHeadAttentionRequest> request_;
  LayerWork work_;  // borrows from the request, its check and the response
};

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_LAYER_OPERATION_H_
