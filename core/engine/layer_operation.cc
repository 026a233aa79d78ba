// SPDX-License-Identifier: Apache-2.0
#include "core/engine/layer_operation.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/engine/outputs.h"
#include "core/engine/warnings.h"
#include "core/layer/layer_batch.h"

namespace attend {
namespace {

// Checks one operand's type, form and width; returns its rows.
absl::StatusOr<OperandRows> CheckOperand(absl::string_view field, const Tensor& tensor,
                                         const Tensor& query, int64_t width) {
  const auto describe = [width] {
    return absl::StrCat("[B, L, ", width, "] or, packed, [T, ", width, "]");
  };
  ATTEND_RETURN_IF_ERROR(CheckOperandForm(field, tensor, query, {3, true, describe}));
  const int64_t got = tensor.dim(tensor.rank() - 1);
  if (got != width) {
    return InvalidField(field,
                        absl::StrCat("must be ", width, " wide for this layer; got ", got,
                                     " in shape ", ToString(tensor.shape())),
                        "SHAPE_MISMATCH");
  }
  if (tensor.rank() == 2) return OperandRows{true, 0, tensor.dim(0)};
  return OperandRows{false, tensor.dim(0), tensor.dim(1)};
}

absl::Status CheckDefaults(const MultiHeadAttentionRequest& request, const LayerConfig& layer) {
  if (!request.key.has_value() && layer.key_dim != layer.embed_dim) {
    return InvalidField(
        "key",
        absl::StrCat("required: this layer's keys are ", layer.key_dim, " wide and its queries ",
                     layer.embed_dim, ", so query cannot serve as key"),
        "MISSING_FIELD");
  }
  if (!request.value.has_value() && layer.value_dim != layer.key_dim) {
    return InvalidField(
        "value",
        absl::StrCat("required: this layer's values are ", layer.value_dim, " wide and its keys ",
                     layer.key_dim, ", so key cannot serve as value"),
        "MISSING_FIELD");
  }
  return absl::OkStatus();
}

OptionDefaults GetDefaults(const LayerConfig& layer) {
  OptionDefaults defaults;
  defaults.scale = layer.scale;
  defaults.softcap = layer.softcap;
  defaults.window_left = layer.window_left;
  defaults.window_right = layer.window_right;
  defaults.positional = layer.rotary.has_value() || layer.relative_bias.has_value();
  return defaults;
}

KeySource GetKeySource(const MultiHeadAttentionRequest& request) {
  return request.key.has_value() || request.value.has_value() ? KeySource::kOwnRows
                                                              : KeySource::kQueryRows;
}

absl::StatusOr<CheckedRequest> Check(const MultiHeadAttentionRequest& request,
                                     const LayerConfig& layer, const ShapeLimits& limits) {
  const Tensor& query = request.query;
  ATTEND_ASSIGN_OR_RETURN(const OperandRows query_rows,
                          CheckOperand("query", query, query, layer.embed_dim));
  ATTEND_RETURN_IF_ERROR(CheckDefaults(request, layer));
  OperandRows key_rows = query_rows;
  if (request.key.has_value()) {
    ATTEND_ASSIGN_OR_RETURN(key_rows, CheckOperand("key", *request.key, query, layer.key_dim));
  }
  if (request.value.has_value()) {
    ATTEND_ASSIGN_OR_RETURN(const OperandRows value_rows,
                            CheckOperand("value", *request.value, query, layer.value_dim));
    if (value_rows.batch != key_rows.batch || value_rows.rows != key_rows.rows) {
      const Tensor& key = request.key.has_value() ? *request.key : query;
      return InvalidField(
          "value",
          absl::StrCat("must have the rows of ",
                       request.key.has_value() ? "key " : "query, as key, ", ToString(key.shape()),
                       "; got ", ToString(request.value->shape())),
          "SHAPE_MISMATCH");
    }
  }

  CheckedRequest checked;
  ATTEND_ASSIGN_OR_RETURN(checked.shape,
                          ResolveLengths(query_rows, key_rows, !request.key.has_value(),
                                         request.query_lengths, request.key_lengths, limits));
  ATTEND_ASSIGN_OR_RETURN(
      checked.options,
      ResolveOptions(request.options, layer.num_heads, GetDefaults(layer), limits, checked.shape));
  checked.heads = layer.heads();
  ATTEND_RETURN_IF_ERROR(SetOutput(query.type(), query.shape(), limits, checked));
  return checked;
}

}  // namespace

void LayerRunner::Compute(absl::Span<const LayerWork* const> batch, ExecutionContext& context) {
  // Requests from before and after a replacement can meet in one batch.
  std::vector<const LayerWork*> left(batch.begin(), batch.end());
  std::vector<const LayerItem*> items;
  for (auto begin = left.begin(); begin != left.end();) {
    const Layer* const layer = (*begin)->layer;
    const auto end = std::stable_partition(
        begin, left.end(), [layer](const LayerWork* work) { return work->layer == layer; });
    items.clear();
    for (; begin != end; ++begin) items.push_back(&(*begin)->item);
    LayerBatch(*layer, items, context).Run();
  }
}

LayerOperation::LayerOperation(MultiHeadAttentionRequest request,
                               std::shared_ptr<const Layer> layer, LayerRunner& runner)
    : Operation(runner), runner_(runner), layer_(std::move(layer)), request_(std::move(request)) {
  work_.layer = layer_.get();
}

absl::StatusOr<std::unique_ptr<Operation>> LayerOperation::Create(
    MultiHeadAttentionRequest request, std::shared_ptr<const Layer> layer, LayerRunner& runner,
    const ShapeLimits& limits) {
  std::unique_ptr<LayerOperation> operation(
      new LayerOperation(std::move(request), std::move(layer), runner));
  ATTEND_ASSIGN_OR_RETURN(CheckedRequest checked,
                          Check(*operation->request_, operation->layer_->config(), limits));
  const Prediction prediction = operation->Predict(checked);
  operation->SetUp(std::move(checked), prediction);
  return operation;
}

Operation::Prediction LayerOperation::Predict(const CheckedRequest& checked) const {
  const Layer& layer = *layer_;
  const KeySource key_source = GetKeySource(*request_);
  Prediction prediction;
  for (const PlacedSequence& sequence : checked.shape.sequences) {
    prediction.description_bytes += sizeof(PlacedSequence) + sizeof(LayerSequence);
    if (sequence.query_length == 0) continue;  // nothing is computed for it
    prediction.flops += layer.Flops(checked.options.params, sequence);
    prediction.working_bytes += layer.WorkingBytes(sequence, key_source);
  }
  prediction.seconds = PredictLayer(layer, runner_.rates(), GetAttentionRates(), GetCpuFeatures(),
                                    {&checked.options.params, checked.type, key_source,
                                     checked.shape.sequences, runner_.workers()});
  return prediction;
}

void LayerOperation::HandOver(int lane, Response& response, absl::Status& failure) {
  const Tensor& query = request_->query;
  const Tensor& key = request_->key.has_value() ? *request_->key : query;
  const Tensor& value = request_->value.has_value() ? *request_->value : key;
  const auto row_bytes = [](const Tensor& tensor) {
    return static_cast<size_t>(tensor.dim(tensor.rank() - 1)) * ElementSize(tensor.type());
  };
  const auto row = [&](const Tensor& tensor, int64_t index) {
    return tensor.data() + static_cast<size_t>(index) * row_bytes(tensor);
  };

  const BatchShape& shape = checked().shape;
  Tensor& output = response.output;
  response.layer_sha256 = layer_->config().sha256;
  response.warnings = FindWarnings(layer_->config(), checked());
  work_.item.type = checked().type;
  work_.item.params = &checked().options.params;
  work_.item.sequences.reserve(shape.sequences.size());
  for (int64_t i = 0; i < static_cast<int64_t>(shape.sequences.size()); ++i) {
    const PlacedSequence& placed = shape.sequences[static_cast<size_t>(i)];
    LayerSequence sequence(placed);
    BindOutputs(checked(), i, response, sequence);
    sequence.output = output.data() + static_cast<size_t>(placed.query_begin) * row_bytes(output);
    if (!shape.packed) {
      ZeroRows(sequence.output, placed.query_length, shape.max_query_length, row_bytes(output));
    }
    if (placed.query_length == 0) continue;
    sequence.key_source = GetKeySource(*request_);
    sequence.query = row(query, placed.query_begin);
    sequence.key = row(key, placed.key_begin);
    sequence.value = row(value, placed.key_begin);
    work_.item.sequences.push_back(sequence);
  }
  if (!work_.item.sequences.empty()) runner_.Add(lane, work_, failure);
}

}  // namespace attend
