#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/engine/operand.h"
#include "core/engine/plan.h"

namespace attend {
namespace {

// Checks one operand's type, form and width; returns its rows.
absl::StatusOr<OperandRows> CheckOperand(absl::string_view field, const Tensor& tensor,
                                         const Tensor& query, int64_t width) {
  ATTEND_RETURN_IF_ERROR(CheckOperandType(field, tensor, query.type()));
  if (tensor.rank() != 2 && tensor.rank() != 3) {
    return InvalidField(field, absl::StrCat("needs shape [B, L, ", width, "] or, packed, [T, ",
                                            width, "]; got ", ToString(tensor.shape())));
  }
  if (tensor.rank() != query.rank()) {
    return InvalidField(
        field, absl::StrCat("must be ", query.rank() == 2 ? "packed" : "dense", " as query is, ",
                            ToString(query.shape()), "; got ", ToString(tensor.shape())));
  }
  const int64_t got = tensor.dim(tensor.rank() - 1);
  if (got != width) {
    return InvalidField(field, absl::StrCat("must be ", width, " wide for this layer; got ", got,
                                            " in shape ", ToString(tensor.shape())));
  }
  if (tensor.rank() == 2) return OperandRows{true, 0, tensor.dim(0)};
  return OperandRows{false, tensor.dim(0), tensor.dim(1)};
}

absl::Status CheckDefaults(const MultiHeadAttentionRequest& request, const LayerConfig& layer) {
  if (!request.key.has_value() && layer.key_dim != layer.embed_dim) {
    return InvalidField("key", absl::StrCat("required: this layer's keys are ", layer.key_dim,
                                            " wide and its queries ", layer.embed_dim,
                                            ", so query cannot serve as key"));
  }
  if (!request.value.has_value() && layer.value_dim != layer.key_dim) {
    return InvalidField("value", absl::StrCat("required: this layer's values are ", layer.value_dim,
                                              " wide and its keys ", layer.key_dim,
                                              ", so key cannot serve as value"));
  }
  return absl::OkStatus();
}

OptionDefaults DefaultsOf(const LayerConfig& layer) {
  OptionDefaults defaults;
  defaults.scale = layer.scale;
  defaults.softcap = layer.softcap;
  defaults.window_left = layer.window_left;
  defaults.window_right = layer.window_right;
  defaults.positional = layer.rotary.has_value() || layer.relative_bias.has_value();
  return defaults;
}

}  // namespace

absl::StatusOr<Plan> PlanLayer(const MultiHeadAttentionRequest& request, const LayerConfig& layer,
                               const ShapeLimits& limits) {
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
          "value", absl::StrCat("must have the rows of ",
                                request.key.has_value() ? "key " : "query, as key, ",
                                ToString(key.shape()), "; got ", ToString(request.value->shape())));
    }
  }

  Plan plan;
  ATTEND_ASSIGN_OR_RETURN(plan.shape,
                          ResolveLengths(query_rows, key_rows, !request.key.has_value(),
                                         request.query_lengths, request.key_lengths, limits));
  ATTEND_ASSIGN_OR_RETURN(plan.options, ResolveOptions(request.options, layer.num_heads,
                                                       DefaultsOf(layer), limits, plan.shape));
  plan.heads = layer.heads();
  plan.type = query.type();
  plan.output_shape = query.shape();
  ATTEND_RETURN_IF_ERROR(SetOutputBytes(plan));
  return plan;
}

LayerItem BindLayer(const MultiHeadAttentionRequest& request, const Plan& plan,
                    Response& response) {
  const Tensor& query = request.query;
  const Tensor& key = request.key.has_value() ? *request.key : query;
  const Tensor& value = request.value.has_value() ? *request.value : key;
  const auto row_bytes = [](const Tensor& tensor) {
    return static_cast<size_t>(tensor.dim(tensor.rank() - 1)) * ElementSize(tensor.type());
  };
  const auto row = [&](const Tensor& tensor, int64_t index) {
    return tensor.data() + static_cast<size_t>(index) * row_bytes(tensor);
  };

  const KeySource source = request.key.has_value() || request.value.has_value()
                               ? KeySource::kOwnRows
                               : KeySource::kQueryRows;

  LayerItem item;
  item.type = plan.type;
  item.params = &plan.options.params;
  Tensor& output = response.output;
  item.sequences.reserve(plan.shape.sequences.size());
  const bool packed = query.rank() == 2;
  for (int64_t i = 0; i < static_cast<int64_t>(plan.shape.sequences.size()); ++i) {
    const PlacedSequence& shape = plan.shape.sequences[static_cast<size_t>(i)];
    LayerSequence sequence(shape);
    sequence.weights = BindWeights(plan, i, response.weights);
    sequence.log_sum_exp = BindLogSumExp(plan, i, response.log_sum_exp);
    sequence.output = output.data() + static_cast<size_t>(shape.query_begin) * row_bytes(output);
    if (!packed) {
      ZeroRows(sequence.output, shape.query_length, plan.shape.max_query_length, row_bytes(output));
    }
    if (shape.query_length == 0) continue;
    sequence.key_source = source;
    sequence.query = row(query, shape.query_begin);
    sequence.key = row(key, shape.key_begin);
    sequence.value = row(value, shape.key_begin);
    item.sequences.push_back(sequence);
  }
  return item;
}

}  // namespace attend
