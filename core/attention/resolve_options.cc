// SPDX-License-Identifier: Apache-2.0
#include "core/attention/resolve_options.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

bool IsFloat(DataType type) {
  return type != DataType::kBool;
}

absl::Status CheckBools(const Tensor& mask) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(mask.data());
  const size_t size = mask.byte_size();
  unsigned char bits = 0;
  for (size_t i = 0; i < size; ++i) bits |= bytes[i];  // a plain loop, so that it vectorises
  if (bits <= 1) return absl::OkStatus();
  const size_t at = static_cast<size_t>(
      std::find_if(bytes, bytes + size, [](unsigned char byte) { return byte > 1; }) - bytes);
  return InvalidField("options.mask", absl::StrCat("a BOOL is the byte 0 or 1; got ",
                                                   static_cast<int>(bytes[at]), " at index ", at));
}

// Narrows a bias or mask that broadcasts to [B, H, Lq, Lk] to each sequence.
absl::Status ResolveTerm(absl::string_view field, const Tensor& tensor, int64_t num_heads,
                         ScoreTerm SequenceArgs::*term, BatchShape& shape) {
  if (tensor.rank() < 1 || tensor.rank() > 4) {
    return InvalidField(field,
                        absl::StrCat("needs 1 to 4 axes; got shape ", ToString(tensor.shape())),
                        "SHAPE_MISMATCH");
  }
  const std::array<int64_t, 4> target = {static_cast<int64_t>(shape.sequences.size()), num_heads,
                                         shape.max_query_length, shape.max_key_length};
  std::array<int64_t, 4> strides = {0, 0, 0, 0};
  int64_t stride = 1;
  for (int axis = tensor.rank() - 1, at = 3; axis >= 0; --axis, --at) {
    const int64_t size = tensor.dim(axis);
    if (size != 1 && size != target[at]) {
      return InvalidField(field,
                          absl::StrCat("shape ", ToString(tensor.shape()),
                                       " does not broadcast to [B, H, Lq, Lk] = ", ToString(target),
                                       ": axis ", axis, " must be ", target[at], " or 1"),
                          "SHAPE_MISMATCH");
    }
    strides[at] = size == 1 ? 0 : stride;
    stride *= size;  // cannot overflow: the tensor exists
  }
  const int64_t batch_bytes = strides[0] * static_cast<int64_t>(ElementSize(tensor.type()));
  const std::byte* data = tensor.data();
  for (PlacedSequence& sequence : shape.sequences) {
    sequence.*term = {data, tensor.type(), strides[1], strides[2], strides[3]};
    data += batch_bytes;
  }
  return absl::OkStatus();
}

absl::Status ResolveTerms(const AttentionOptions& options, int64_t num_heads, BatchShape& shape) {
  if (options.bias.has_value()) {
    if (!IsFloat(options.bias->type())) {
      return InvalidField("options.bias",
                          "needs type FLOAT32, BFLOAT16 or FLOAT16; got BOOL, which is for "
                          "options.mask",
                          "TYPE_MISMATCH");
    }
    ATTEND_RETURN_IF_ERROR(
        ResolveTerm("options.bias", *options.bias, num_heads, &SequenceArgs::bias, shape));
  }
  if (!options.mask.has_value()) return absl::OkStatus();
  if (IsFloat(options.mask->type())) {
    return InvalidField(
        "options.mask",
        absl::StrCat("needs type BOOL (true = may attend); got ", Name(options.mask->type()),
                     "; give an additive mask as options.bias"),
        "TYPE_MISMATCH");
  }
  ATTEND_RETURN_IF_ERROR(
      ResolveTerm("options.mask", *options.mask, num_heads, &SequenceArgs::mask, shape));
  return CheckBools(*options.mask);
}

// The option that makes results depend on positions; empty if there is none.
absl::string_view PositionalOption(const AttentionOptions& options, const OptionDefaults& defaults,
                                   const AttentionParams& params) {
  if (params.causal) return "causal attention";
  if (options.window_left.has_value() || options.window_right.has_value()) return "a window";
  if (params.window_left.has_value() || params.window_right.has_value()) {
    return "this layer's window";
  }
  if (options.alibi_slopes.has_value()) return "ALiBi";
  return defaults.positional ? "this layer's position embedding" : "";
}

absl::Status ResolveOffsets(const AttentionOptions& options, absl::string_view positional,
                            BatchShape& shape) {
  const bool offsets_given = !options.query_offsets.empty();
  if (offsets_given && options.alignment != Alignment::kUnspecified) {
    return InvalidField("options.query_offsets",
                        "give options.alignment or options.query_offsets, not both",
                        "CONFLICTING_FIELDS");
  }
  if (positional.empty()) return absl::OkStatus();
  if (offsets_given && options.query_offsets.size() != shape.sequences.size()) {
    return InvalidField("options.query_offsets",
                        absl::StrCat("needs one entry for each of the ", shape.sequences.size(),
                                     " sequences; got ", options.query_offsets.size()),
                        "SHAPE_MISMATCH");
  }
  for (size_t i = 0; i < shape.sequences.size(); ++i) {
    PlacedSequence& sequence = shape.sequences[i];
    if (offsets_given) {
      sequence.query_offset = std::clamp(options.query_offsets[i], -kFarPosition, kFarPosition);
    } else if (options.alignment == Alignment::kEnd) {
      sequence.query_offset = sequence.key_length - sequence.query_length;
    } else if (options.alignment == Alignment::kUnspecified &&
               sequence.query_length != sequence.key_length) {
      return InvalidField(
          "options.alignment",
          absl::StrCat(positional, " of ", sequence.query_length, " query rows to ",
                       sequence.key_length, " keys (sequence ", i,
                       ") needs options.alignment (ALIGNMENT_START or ALIGNMENT_END) or "
                       "options.query_offsets"),
          "MISSING_FIELD");
    }
  }
  return absl::OkStatus();
}

// `given` is the request's window, `fallback` the layer's.
absl::StatusOr<std::optional<int64_t>> ResolveWindow(absl::string_view field,
                                                     const std::optional<int64_t>& given,
                                                     const std::optional<int64_t>& fallback) {
  const std::optional<int64_t>& window = given.has_value() ? given : fallback;
  if (!window.has_value()) return window;
  if (*window < 0) return InvalidField(field, absl::StrCat("must be >= 0; got ", *window));
  return std::optional<int64_t>(std::min(*window, kFarPosition));
}

absl::Status CheckPerHead(absl::string_view field, size_t count, int64_t num_heads) {
  if (static_cast<int64_t>(count) == num_heads) return absl::OkStatus();
  return InvalidField(
      field, absl::StrCat("needs one entry for each of the ", num_heads, " heads; got ", count),
      "SHAPE_MISMATCH");
}

absl::Status ResolveAlibi(const Tensor& slopes, int64_t num_heads, BatchShape& shape) {
  constexpr absl::string_view kField = "options.alibi_slopes";
  if (slopes.type() != DataType::kFloat32) {
    return InvalidField(kField, absl::StrCat("needs type FLOAT32; got ", Name(slopes.type())),
                        "TYPE_MISMATCH");
  }
  const auto batch = static_cast<int64_t>(shape.sequences.size());
  const bool by_sequence = slopes.rank() == 2;
  if (slopes.rank() < 1 || slopes.rank() > 2 || slopes.dim(slopes.rank() - 1) != num_heads ||
      (by_sequence && slopes.dim(0) != batch)) {
    return InvalidField(kField,
                        absl::StrCat("needs shape [H] or [B, H] = [", batch, ", ", num_heads,
                                     "]; got ", ToString(slopes.shape())),
                        "SHAPE_MISMATCH");
  }
  const size_t count = slopes.byte_size() / sizeof(float);
  for (size_t i = 0; i < count; ++i) {
    if (!std::isfinite(slopes.as<float>()[i])) {
      return InvalidField(kField, absl::StrCat("must be finite; got ", slopes.as<float>()[i]));
    }
  }
  for (int64_t i = 0; i < batch; ++i) {
    shape.sequences[i].alibi_slopes = slopes.as<float>() + (by_sequence ? i * num_heads : 0);
  }
  return absl::OkStatus();
}

// Checks and resolves options that have one number per head.
absl::Status ResolvePerHead(const AttentionOptions& options, int64_t num_heads, BatchShape& shape,
                            AttentionParams& params) {
  if (options.alibi_slopes.has_value()) {
    ATTEND_RETURN_IF_ERROR(ResolveAlibi(*options.alibi_slopes, num_heads, shape));
  }
  if (!options.sinks.empty()) {
    ATTEND_RETURN_IF_ERROR(CheckPerHead("options.sinks", options.sinks.size(), num_heads));
    for (const float sink : options.sinks) {
      if (std::isnan(sink) || sink == std::numeric_limits<float>::infinity()) {
        return InvalidField("options.sinks", absl::StrCat("must be finite or -inf; got ", sink));
      }
    }
    params.sinks = options.sinks;
  }
  if (!options.head_gates.empty()) {
    ATTEND_RETURN_IF_ERROR(
        CheckPerHead("options.head_gates", options.head_gates.size(), num_heads));
    for (const float gate : options.head_gates) {
      if (!std::isfinite(gate)) {
        return InvalidField("options.head_gates", absl::StrCat("must be finite; got ", gate));
      }
    }
    params.head_gates = options.head_gates;
  }
  return absl::OkStatus();
}

absl::Status ResolveLogSumExp(int64_t num_heads, const BatchShape& shape,
                              ResolvedOptions& resolved) {
  if (shape.packed) {
    resolved.log_sum_exp_shape = {shape.query_rows, num_heads};
  } else {
    resolved.log_sum_exp_shape = {static_cast<int64_t>(shape.sequences.size()), num_heads,
                                  shape.max_query_length};
  }
  const absl::StatusOr<size_t> bytes =
      CheckedByteSize(DataType::kFloat32, resolved.log_sum_exp_shape);
  if (!bytes.ok()) {
    return InvalidField(
        "options.log_sum_exp",
        absl::StrCat("shape ", ToString(resolved.log_sum_exp_shape), " has too many elements"),
        "TOO_LARGE");
  }
  resolved.log_sum_exp_bytes = *bytes;
  resolved.params.log_sum_exp_head_stride = shape.packed ? 1 : shape.max_query_length;
  resolved.params.log_sum_exp_row_stride = shape.packed ? num_heads : 1;
  return absl::OkStatus();
}

absl::Status ResolveWeights(const AttentionOptions& options, int64_t num_heads,
                            const ShapeLimits& limits, const BatchShape& shape,
                            ResolvedOptions& resolved) {
  const WeightsOutput weights = options.weights;
  resolved.params.weights = weights;
  if (weights == WeightsOutput::kNone) return absl::OkStatus();
  if (weights == WeightsOutput::kMean && options.weights_stage != WeightsStage::kProbabilities) {
    return InvalidField("options.weights_stage",
                        "must be WEIGHTS_STAGE_PROBABILITIES (or absent) with WEIGHTS_MEAN; other "
                        "stages need WEIGHTS_PER_HEAD",
                        "CONFLICTING_FIELDS");
  }
  resolved.params.weights_stage = options.weights_stage;
  resolved.weights_shape = {static_cast<int64_t>(shape.sequences.size())};
  if (weights == WeightsOutput::kPerHead) resolved.weights_shape.push_back(num_heads);
  resolved.weights_shape.push_back(shape.max_query_length);
  resolved.weights_shape.push_back(shape.max_key_length);
  const absl::StatusOr<size_t> bytes = CheckedByteSize(DataType::kFloat32, resolved.weights_shape);
  if (!bytes.ok() || *bytes > static_cast<size_t>(limits.max_weights_bytes)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "TOO_LARGE", "options.weights",
        absl::StrCat("options.weights: FLOAT32 weights of shape ", ToString(resolved.weights_shape),
                     " exceed this server's limit of ", limits.max_weights_bytes, " bytes"));
  }
  resolved.weights_bytes = *bytes;
  resolved.params.weights_head_stride = shape.max_query_length * shape.max_key_length;
  resolved.params.weights_row_stride = shape.max_key_length;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ResolvedOptions> ResolveOptions(const AttentionOptions& options, int64_t num_heads,
                                               const OptionDefaults& defaults,
                                               const ShapeLimits& limits, BatchShape& shape) {
  ResolvedOptions resolved;
  AttentionParams& params = resolved.params;
  params.scale = options.scale.value_or(defaults.scale);
  if (!std::isfinite(params.scale)) {
    return InvalidField("options.scale", absl::StrCat("must be finite; got ", params.scale));
  }
  params.causal = options.causal;
  ATTEND_ASSIGN_OR_RETURN(
      params.window_left,
      ResolveWindow("options.window_left", options.window_left, defaults.window_left));
  ATTEND_ASSIGN_OR_RETURN(
      params.window_right,
      ResolveWindow("options.window_right", options.window_right, defaults.window_right));
  if (options.softcap.has_value() && !(std::isfinite(*options.softcap) && *options.softcap > 0)) {
    return InvalidField("options.softcap",
                        absl::StrCat("must be finite and > 0; got ", *options.softcap));
  }
  params.softcap = options.softcap.value_or(defaults.softcap);
  ATTEND_RETURN_IF_ERROR(ResolveTerms(options, num_heads, shape));
  ATTEND_RETURN_IF_ERROR(ResolvePerHead(options, num_heads, shape, params));
  const absl::string_view positional = PositionalOption(options, defaults, params);
  resolved.positional = !positional.empty();
  ATTEND_RETURN_IF_ERROR(ResolveOffsets(options, positional, shape));
  if (options.log_sum_exp) ATTEND_RETURN_IF_ERROR(ResolveLogSumExp(num_heads, shape, resolved));
  ATTEND_RETURN_IF_ERROR(ResolveWeights(options, num_heads, limits, shape, resolved));
  return resolved;
}

}  // namespace attend
