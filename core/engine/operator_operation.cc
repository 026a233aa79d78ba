#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/engine/operand.h"
#include "core/engine/plan.h"

namespace attend {
namespace {

// Wider heads than any model has; bounds what a worker needs for its blocks
// of rows, which no request's size accounts for.
constexpr int64_t kMaxHeadDim = 4096;

// A tensor without rows has no bytes that bound its number of heads.
constexpr int64_t kMaxHeads = 65536;

// How an operand's axes lie in its tensor.
struct Axes {
  bool packed;
  int head;  // axis of the heads
  int row;   // axis of the rows
};

Axes AxesOf(const Tensor& tensor, Layout layout) {
  if (tensor.rank() == 3) return {true, 1, 0};
  return layout == Layout::kBlhd ? Axes{false, 2, 1} : Axes{false, 1, 2};
}

absl::string_view ShapesOf(Layout layout) {
  return layout == Layout::kBlhd ? "[B, L, H, D] or, packed, [T, H, D] in LAYOUT_BLHD"
                                 : "[B, H, L, D] in LAYOUT_BHLD (which has no packed form)";
}

absl::Status CheckOperand(absl::string_view field, const Tensor& tensor, const Tensor& query,
                          Layout layout) {
  ATTEND_RETURN_IF_ERROR(CheckOperandType(field, tensor, query.type()));
  const bool packed_allowed = layout == Layout::kBlhd;
  if (tensor.rank() != 4 && !(packed_allowed && tensor.rank() == 3)) {
    return InvalidField(
        field, absl::StrCat("needs shape ", ShapesOf(layout), "; got ", ToString(tensor.shape())));
  }
  if (tensor.rank() != query.rank()) {
    return InvalidField(
        field, absl::StrCat("must be ", query.rank() == 3 ? "packed" : "dense", " as query is, ",
                            ToString(query.shape()), "; got ", ToString(tensor.shape())));
  }
  const int64_t heads = tensor.dim(AxesOf(tensor, layout).head);
  const int64_t width = tensor.dim(tensor.rank() - 1);
  if (heads < 1 || heads > kMaxHeads) {
    return InvalidField(
        field, absl::StrCat("the number of heads must be from 1 to ", kMaxHeads, "; got ", heads,
                            " in shape ", ToString(tensor.shape())));
  }
  if (width < 1 || width > kMaxHeadDim) {
    return InvalidField(
        field, absl::StrCat("the width of a head must be from 1 to ", kMaxHeadDim, "; got ", width,
                            " in shape ", ToString(tensor.shape())));
  }
  return absl::OkStatus();
}

absl::Status CheckHeads(const ScaledDotProductAttentionRequest& request, const Axes& axes,
                        const Plan& plan) {
  if (plan.heads.num_heads % plan.heads.num_kv_heads != 0) {
    return InvalidField(
        "key", absl::StrCat("its number of heads must divide query's ", plan.heads.num_heads,
                            "; got ", plan.heads.num_kv_heads));
  }
  const int64_t key_width = request.key.dim(request.key.rank() - 1);
  if (key_width != plan.heads.head_dim) {
    return InvalidField("key", absl::StrCat("heads must be as wide as query's, ",
                                            plan.heads.head_dim, "; got ", key_width));
  }
  for (int axis = 0; axis < request.key.rank() - 1; ++axis) {
    if (request.value.dim(axis) == request.key.dim(axis)) continue;
    return InvalidField("value", absl::StrCat("must have key's ",
                                              axis == axes.head  ? "number of heads"
                                              : axis == axes.row ? "rows"
                                                                 : "number of sequences",
                                              " in ", ToString(request.key.shape()), "; got ",
                                              ToString(request.value.shape())));
  }
  return absl::OkStatus();
}

// The rows of one sequence in an operand. `begin` counts rows of all heads' sequences before it.
template <typename Byte>
BasicRows<Byte> RowsOf(Byte* data, const Tensor& tensor, const Axes& axes, int64_t begin) {
  const int64_t heads = tensor.dim(axes.head);
  const int64_t width = tensor.dim(tensor.rank() - 1);
  const bool heads_first = axes.head < axes.row;
  BasicRows<Byte> rows;
  rows.row_stride = heads_first ? width : heads * width;
  rows.head_stride = heads_first ? tensor.dim(axes.row) * width : width;
  // In both layouts `begin` rows of `heads` heads lie before the sequence.
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

}  // namespace

absl::StatusOr<Plan> PlanOperator(const ScaledDotProductAttentionRequest& request,
                                  const ShapeLimits& limits) {
  const Tensor& query = request.query;
  ATTEND_RETURN_IF_ERROR(CheckOperand("query", query, query, request.layout));
  ATTEND_RETURN_IF_ERROR(CheckOperand("key", request.key, query, request.layout));
  ATTEND_RETURN_IF_ERROR(CheckOperand("value", request.value, query, request.layout));
  const Axes axes = AxesOf(query, request.layout);

  Plan plan;
  plan.heads.num_heads = query.dim(axes.head);
  plan.heads.num_kv_heads = request.key.dim(axes.head);
  plan.heads.head_dim = query.dim(query.rank() - 1);
  plan.heads.value_head_dim = request.value.dim(request.value.rank() - 1);
  ATTEND_RETURN_IF_ERROR(CheckHeads(request, axes, plan));

  const auto rows_of = [&](const Tensor& tensor) {
    return axes.packed ? OperandRows{true, 0, tensor.dim(0)}
                       : OperandRows{false, tensor.dim(0), tensor.dim(axes.row)};
  };
  ATTEND_ASSIGN_OR_RETURN(
      plan.shape, ResolveLengths(rows_of(query), rows_of(request.key), /*self_attention=*/false,
                                 request.query_lengths, request.key_lengths, limits));
  OptionDefaults defaults;
  defaults.scale = 1.0f / std::sqrt(static_cast<float>(plan.heads.head_dim));
  ATTEND_ASSIGN_OR_RETURN(plan.options, ResolveOptions(request.options, plan.heads.num_heads,
                                                       defaults, limits, plan.shape));
  plan.type = query.type();
  plan.output_shape = query.shape();
  plan.output_shape.back() = plan.heads.value_head_dim;
  ATTEND_RETURN_IF_ERROR(SetOutputBytes(plan));
  return plan;
}

AttentionProblem BindOperator(const ScaledDotProductAttentionRequest& request, const Plan& plan,
                              Response& response, std::vector<SequenceProblem>& sequences) {
  const Axes axes = AxesOf(request.query, request.layout);
  Tensor& output = response.output;
  sequences.reserve(plan.shape.sequences.size());
  for (int64_t i = 0; i < static_cast<int64_t>(plan.shape.sequences.size()); ++i) {
    const PlacedSequence& shape = plan.shape.sequences[static_cast<size_t>(i)];
    SequenceProblem sequence(shape);
    sequence.weights = BindWeights(plan, i, response.weights);
    sequence.log_sum_exp = BindLogSumExp(plan, i, response.log_sum_exp);
    sequence.output = RowsOf(output.data(), output, axes, shape.query_begin);
    if (!axes.packed) ZeroPadding(output, axes, sequence.output, shape.query_length);
    if (shape.query_length == 0) continue;
    sequence.query = RowsOf(request.query.data(), request.query, axes, shape.query_begin);
    sequence.key = RowsOf(request.key.data(), request.key, axes, shape.key_begin);
    sequence.value = RowsOf(request.value.data(), request.value, axes, shape.key_begin);
    sequences.push_back(sequence);
  }
  return AttentionProblem{plan.heads, plan.type, plan.type, &plan.options.params, sequences};
}

}  // namespace attend
