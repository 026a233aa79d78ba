#include "core/engine/engine_item.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/attention/cost.h"
#include "core/base/status.h"

namespace attend {
namespace {

// Reading a byte takes a core about as long as this many operations (200 GFLOP/s
// beside 25 GB/s). A decode over a long cache is bound by reading it, and would
// look almost free by its operations alone.
constexpr double kFlopsPerByte = 8.0;

absl::Status LayerNotFound(absl::string_view name) {
  constexpr size_t kMaxShown = 100;
  return MakeError(
      absl::StatusCode::kNotFound, "LAYER_NOT_FOUND", "layer",
      absl::StrCat("layer: there is none named \"", absl::CHexEscape(name.substr(0, kMaxShown)),
                   "\"; LayerService.ListLayers gives the names"));
}

}  // namespace

EngineItem::EngineItem(Request request, MemoryCharge charge, Engine::Done done)
    : request_(std::move(request)), done_(std::move(done)) {
  response_.charge = std::move(charge);
}

uint32_t EngineItem::priority() const {
  return std::visit([](const auto& request) { return request.priority; }, *request_);
}

const LayerItem* EngineItem::layer_item() const {
  return layer_item_.sequences.empty() ? nullptr : &layer_item_;
}

const AttentionProblem* EngineItem::problem() const {
  return problem_.sequences.empty() ? nullptr : &problem_;
}

absl::Status EngineItem::Prepare(const LayerRegistry& layers, const ShapeLimits& limits,
                                 uint32_t priority_levels, MemoryBudget& budget) {
  if (priority() >= priority_levels) {
    return InvalidField("priority", absl::StrCat("must be below this server's ", priority_levels,
                                                 " levels; got ", priority()));
  }
  if (const auto* request = std::get_if<MultiHeadAttentionRequest>(&*request_)) {
    ATTEND_RETURN_IF_ERROR(PrepareLayer(*request, layers, limits, budget));
  } else {
    ATTEND_RETURN_IF_ERROR(
        PrepareOperator(std::get<ScaledDotProductAttentionRequest>(*request_), limits));
  }
  cost_.bytes = response_.charge.bytes() + working_.bytes();
  return absl::OkStatus();
}

absl::Status EngineItem::Allocate(const Plan& plan) {
  ATTEND_RETURN_IF_ERROR(response_.charge.Grow(plan.Bytes()));
  response_.output = Tensor(plan.type, plan.output_shape);
  if (plan.options.params.weights != WeightsOutput::kNone) {
    response_.weights.emplace(DataType::kFloat32, plan.options.weights_shape);
  }
  if (!plan.options.log_sum_exp_shape.empty()) {
    response_.log_sum_exp.emplace(DataType::kFloat32, plan.options.log_sum_exp_shape);
  }
  cost_.tokens = plan.shape.query_rows;
  return absl::OkStatus();
}

absl::Status EngineItem::PrepareLayer(const MultiHeadAttentionRequest& request,
                                      const LayerRegistry& layers, const ShapeLimits& limits,
                                      MemoryBudget& budget) {
  layer_ = layers.Find(request.layer);
  if (layer_ == nullptr) return LayerNotFound(request.layer);
  ATTEND_ASSIGN_OR_RETURN(plan_, PlanLayer(request, layer_->config(), limits));
  ATTEND_RETURN_IF_ERROR(Allocate(plan_));
  layer_item_ = BindLayer(request, plan_, response_);
  response_.layer_sha256 = layer_->config().sha256;
  if (layer_item() == nullptr) return absl::OkStatus();
  int64_t working_bytes = 0;
  for (const LayerSequence& sequence : layer_item_.sequences) {
    working_bytes += layer_->WorkingBytes(sequence, sequence.key_source);
    flops_ += layer_->Flops(*layer_item_.params, sequence);
  }
  ATTEND_ASSIGN_OR_RETURN(working_, budget.Charge(working_bytes, response_.charge));
  cost_.flops = flops_;
  return absl::OkStatus();
}

absl::Status EngineItem::PrepareOperator(const ScaledDotProductAttentionRequest& request,
                                         const ShapeLimits& limits) {
  ATTEND_ASSIGN_OR_RETURN(plan_, PlanOperator(request, limits));
  ATTEND_RETURN_IF_ERROR(Allocate(plan_));
  problem_ = BindOperator(request, plan_, response_, problem_sequences_);
  if (problem() == nullptr) return absl::OkStatus();
  for (const SequenceProblem& sequence : problem_.sequences) {
    flops_ += AttentionFlops(problem_, *problem_.params, sequence);
  }
  const double bytes = static_cast<double>(request.query.byte_size() + request.key.byte_size() +
                                           request.value.byte_size());
  cost_.flops = std::max(flops_, kFlopsPerByte * bytes);
  return absl::OkStatus();
}

void EngineItem::End(absl::Status status) {
  request_.reset();
  working_ = MemoryCharge();
  if (status.ok()) {
    done_(std::move(response_));
    return;
  }
  response_ = Response();
  done_(std::move(status));
}

}  // namespace attend
