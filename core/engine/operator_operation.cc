// SPDX-License-Identifier: Apache-2.0
#include "core/engine/operator_operation.h"

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/attention/attention.h"
#include "core/attention/cost.h"
#include "core/attention/rates.h"
#include "core/base/status.h"
#include "core/engine/outputs.h"

namespace attend {
namespace {

// The order of an operand's axes in its tensor.
struct Axes {
  bool packed;
  int head;  // index of the axis of heads
  int row;   // index of the axis of rows
};

Axes FindAxes(const Tensor& tensor, Layout layout) {
  if (tensor.rank() == 3) return {true, 1, 0};
  return layout == Layout::kBlhd ? Axes{false, 2, 1} : Axes{false, 1, 2};
}

std::string DescribeForms(Layout layout) {
  return layout == Layout::kBlhd ? "[B, L, H, D] or, packed, [T, H, D] in LAYOUT_BLHD"
                                 : "[B, H, L, D] in LAYOUT_BHLD (which has no packed form)";
}

absl::Status CheckOperand(absl::string_view field, const Tensor& tensor, const Tensor& query,
                          Layout layout, const ShapeLimits& limits) {
  const auto describe = [layout] { return DescribeForms(layout); };
  ATTEND_RETURN_IF_ERROR(
      CheckOperandForm(field, tensor, query, {4, layout == Layout::kBlhd, describe}));
  const int64_t heads = tensor.dim(FindAxes(tensor, layout).head);
  const int64_t width = tensor.dim(tensor.rank() - 1);
  if (heads < 1 || heads > limits.max_heads) {
    return InvalidField(
        field,
        absl::StrCat("the number of heads must be from 1 to ", limits.max_heads,
                     " on this server; got ", heads, " in shape ", ToString(tensor.shape())),
        "SIZE_OUT_OF_RANGE");
  }
  if (width < 1 || width > kMaxHeadDim) {
    return InvalidField(field,
                        absl::StrCat("the width of a head must be from 1 to ", kMaxHeadDim,
                                     "; got ", width, " in shape ", ToString(tensor.shape())),
                        "SIZE_OUT_OF_RANGE");
  }
  return absl::OkStatus();
}

absl::Status CheckHeads(const ScaledDotProductAttentionRequest& request, const Axes& axes,
                        const HeadShape& heads) {
  if (heads.num_heads % heads.num_kv_heads != 0) {
    return InvalidField("key",
                        absl::StrCat("its number of heads must divide query's ", heads.num_heads,
                                     "; got ", heads.num_kv_heads),
                        "SHAPE_MISMATCH");
  }
  const int64_t key_width = request.key.dim(request.key.rank() - 1);
  if (key_width != heads.head_dim) {
    return InvalidField(
        "key",
        absl::StrCat("heads must be as wide as query's, ", heads.head_dim, "; got ", key_width),
        "SHAPE_MISMATCH");
  }
  for (int axis = 0; axis < request.key.rank() - 1; ++axis) {
    if (request.value.dim(axis) == request.key.dim(axis)) continue;
    return InvalidField("value",
                        absl::StrCat("must have key's ",
                                     axis == axes.head  ? "number of heads"
                                     : axis == axes.row ? "rows"
                                                        : "number of sequences",
                                     " in ", ToString(request.key.shape()), "; got ",
                                     ToString(request.value.shape())),
                        "SHAPE_MISMATCH");
  }
  return absl::OkStatus();
}

// The rows of one sequence in an operand. `begin` counts the rows of the sequences before it,
// padding included.
template <typename Byte>
BasicRows<Byte> FindRows(Byte* data, const Tensor& tensor, const Axes& axes, int64_t begin) {
  const int64_t heads = tensor.dim(axes.head);
  const int64_t width = tensor.dim(tensor.rank() - 1);
  const bool heads_first = axes.head < axes.row;
  BasicRows<Byte> rows;
  rows.row_stride = heads_first ? width : heads * width;
  rows.head_stride = heads_first ? tensor.dim(axes.row) * width : width;
  // In both layouts the sequence lies behind `begin` rows of `heads` heads.
  rows.data = data + begin * heads * width * static_cast<int64_t>(ElementSize(tensor.type()));
  return rows;
}

// Zeroes the padding of one sequence of a dense output.
void ZeroPadding(Tensor& output, const Axes& axes, const MutableRows& rows, int64_t length) {
  const int64_t axis = output.dim(axes.row);
  const int64_t heads = output.dim(axes.head);
  const size_t size = ElementSize(output.type());
  const size_t width = static_cast<size_t>(output.dim(output.rank() - 1)) * size;
  if (axes.row < axes.head) {
    ZeroRows(rows.data, length, axis, static_cast<size_t>(heads) * width);
    return;
  }
  if (length == axis || output.byte_size() == 0) return;
  for (int64_t head = 0; head < heads; ++head) {
    ZeroRows(rows.data + static_cast<size_t>(head * rows.head_stride) * size, length, axis, width);
  }
}

HeadShape GetHeads(const ScaledDotProductAttentionRequest& request, const Axes& axes) {
  const auto width = [](const Tensor& tensor) { return tensor.dim(tensor.rank() - 1); };
  return {request.query.dim(axes.head), request.key.dim(axes.head), width(request.query),
          width(request.value)};
}

absl::StatusOr<CheckedRequest> Check(const ScaledDotProductAttentionRequest& request,
                                     const ShapeLimits& limits) {
  const Tensor& query = request.query;
  ATTEND_RETURN_IF_ERROR(CheckOperand("query", query, query, request.layout, limits));
  ATTEND_RETURN_IF_ERROR(CheckOperand("key", request.key, query, request.layout, limits));
  ATTEND_RETURN_IF_ERROR(CheckOperand("value", request.value, query, request.layout, limits));
  const Axes axes = FindAxes(query, request.layout);
  CheckedRequest checked;
  checked.heads = GetHeads(request, axes);
  ATTEND_RETURN_IF_ERROR(CheckHeads(request, axes, checked.heads));

  const auto count_rows = [&](const Tensor& tensor) {
    return axes.packed ? OperandRows{true, 0, tensor.dim(0)}
                       : OperandRows{false, tensor.dim(0), tensor.dim(axes.row)};
  };
  ATTEND_ASSIGN_OR_RETURN(
      checked.shape,
      ResolveLengths(count_rows(query), count_rows(request.key),
                     /*self_attention=*/false, request.query_lengths, request.key_lengths, limits));
  OptionDefaults defaults;
  defaults.scale = 1.0f / std::sqrt(static_cast<float>(checked.heads.head_dim));
  ATTEND_ASSIGN_OR_RETURN(checked.options, ResolveOptions(request.options, checked.heads.num_heads,
                                                          defaults, limits, checked.shape));
  Shape output_shape = query.shape();
  output_shape.back() = checked.heads.value_head_dim;
  ATTEND_RETURN_IF_ERROR(SetOutput(query.type(), std::move(output_shape), limits, checked));
  return checked;
}

}  // namespace

void OperatorRunner::Compute(absl::Span<const AttentionProblem* const> batch,
                             ExecutionContext& context) {
  ComputeAttention(batch, context);
}

OperatorOperation::OperatorOperation(ScaledDotProductAttentionRequest request,
                                     OperatorRunner& runner)
    : Operation(runner), runner_(runner), request_(std::move(request)) {}

absl::StatusOr<std::unique_ptr<Operation>> OperatorOperation::Create(
    ScaledDotProductAttentionRequest request, OperatorRunner& runner, const ShapeLimits& limits) {
  std::unique_ptr<OperatorOperation> operation(new OperatorOperation(std::move(request), runner));
  ATTEND_ASSIGN_OR_RETURN(CheckedRequest checked, Check(*operation->request_, limits));
  const Prediction prediction = operation->Predict(checked);
  operation->SetUp(std::move(checked), prediction);
  return operation;
}

Operation::Prediction OperatorOperation::Predict(const CheckedRequest& checked) const {
  Prediction prediction;
  for (const PlacedSequence& sequence : checked.shape.sequences) {
    prediction.description_bytes += sizeof(PlacedSequence) + sizeof(SequenceProblem);
    if (sequence.query_length == 0) continue;  // nothing is computed for it
    prediction.flops += AttentionFlops(checked.heads, checked.options.params, sequence);
  }
  prediction.seconds = PredictAttention(
      GetAttentionRates(), GetCpuFeatures(), AttentionShape(checked.heads, checked.type),
      checked.options.params, checked.shape.sequences, runner_.workers());
  return prediction;
}

void OperatorOperation::HandOver(int lane, Response& response, absl::Status& failure) {
  const Axes axes = FindAxes(request_->query, request_->layout);
  const BatchShape& shape = checked().shape;
  Tensor& output = response.output;
  sequences_.reserve(shape.sequences.size());
  for (int64_t i = 0; i < static_cast<int64_t>(shape.sequences.size()); ++i) {
    const PlacedSequence& placed = shape.sequences[static_cast<size_t>(i)];
    SequenceProblem sequence(placed);
    BindOutputs(checked(), i, response, sequence);
    sequence.output = FindRows(output.data(), output, axes, placed.query_begin);
    if (!axes.packed) ZeroPadding(output, axes, sequence.output, placed.query_length);
    if (placed.query_length == 0) continue;
    const auto find_rows = [&](const Tensor& tensor, int64_t begin) {
      return FindRows(tensor.data(), tensor, axes, begin);
    };
    sequence.query = find_rows(request_->query, placed.query_begin);
    sequence.key = find_rows(request_->key, placed.key_begin);
    sequence.value = find_rows(request_->value, placed.key_begin);
    sequences_.push_back(sequence);
  }
  if (sequences_.empty()) return;
  const DataType type = checked().type;
  problem_ = {checked().heads, type, type, &checked().options.params, sequences_};
  runner_.Add(lane, problem_, failure);
}

}  // namespace attend
