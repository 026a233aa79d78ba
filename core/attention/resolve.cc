#include "core/attention/resolve.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

// Offsets beyond any length mean the same for causal, and positions computed
// from them must not overflow.
constexpr int64_t kFarOffset = int64_t{1} << 40;

struct Lengths {
  int64_t axis = 0;
  int64_t rows = 0;
  std::vector<int64_t> length;  // of each sequence
  std::vector<int64_t> begin;
};

absl::Status CheckLengthSum(absl::string_view operand, absl::string_view field,
                            absl::Span<const int64_t> lengths, int64_t rows) {
  int64_t left = rows;  // subtracted from, because a sum may overflow
  for (const int64_t length : lengths) {
    if (length < 0 || length > left) {
      return InvalidField(
          field, absl::StrCat("lengths must be >= 0 and sum to the ", rows, " rows of ", operand,
                              "; got ", length, " where ", left, " are left"));
    }
    left -= length;
  }
  if (left != 0) {
    return InvalidField(
        field, absl::StrCat("must sum to the ", rows, " rows of ", operand, "; got ", rows - left));
  }
  return absl::OkStatus();
}

absl::StatusOr<Lengths> ResolveOperand(absl::string_view operand, const OperandRows& form,
                                       absl::Span<const int64_t> given, const ShapeLimits& limits) {
  const std::string field = absl::StrCat(operand, "_lengths");
  Lengths result;
  const int64_t count =
      !form.packed ? form.batch : (given.empty() ? 1 : static_cast<int64_t>(given.size()));
  if (count > limits.max_sequences) {
    return MakeError(absl::StatusCode::kInvalidArgument, "TOO_LARGE", operand,
                     absl::StrCat(operand, ": a request may hold ", limits.max_sequences,
                                  " sequences; got ", count));
  }
  if (form.packed) {
    result.length.assign(given.begin(), given.end());
    if (given.empty()) result.length = {form.rows};
    ATTEND_RETURN_IF_ERROR(CheckLengthSum(operand, field, result.length, form.rows));
    for (const int64_t length : result.length) result.axis = std::max(result.axis, length);
  } else {
    if (!given.empty() && static_cast<int64_t>(given.size()) != form.batch) {
      return InvalidField(field, absl::StrCat("needs one entry for each of the ", form.batch,
                                              " sequences of ", operand, "; got ", given.size()));
    }
    for (const int64_t length : given) {
      if (length < 0 || length > form.rows) {
        return InvalidField(field, absl::StrCat("must be from 0 to the ", form.rows, " rows of ",
                                                operand, "; got ", length));
      }
    }
    result.length.assign(given.begin(), given.end());
    if (given.empty()) result.length.assign(static_cast<size_t>(count), form.rows);
    result.axis = form.rows;
  }
  if (result.axis > limits.max_sequence_length) {
    return MakeError(absl::StatusCode::kInvalidArgument, "TOO_LARGE", operand,
                     absl::StrCat(operand, ": a sequence may have ", limits.max_sequence_length,
                                  " rows on this server; got ", result.axis));
  }
  // From here sums and products are small: count and axis are within limits.
  result.begin.reserve(result.length.size());
  for (size_t i = 0; i < result.length.size(); ++i) {
    result.begin.push_back(form.packed ? result.rows : static_cast<int64_t>(i) * form.rows);
    result.rows += result.length[i];
  }
  if (result.rows > limits.max_rows) {
    return MakeError(absl::StatusCode::kInvalidArgument, "TOO_LARGE", operand,
                     absl::StrCat(operand, ": a request may have ", limits.max_rows,
                                  " rows in all on this server; got ", result.rows));
  }
  return result;
}

bool IsFloat(DataType type) {
  return type != DataType::kBool;
}

absl::Status CheckBools(const Tensor& mask) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(mask.data());
  const size_t size = mask.byte_size();
  unsigned char bits = 0;
  for (size_t i = 0; i < size; ++i) bits |= bytes[i];  // a plain loop: it vectorises
  if (bits <= 1) return absl::OkStatus();
  const size_t at = static_cast<size_t>(
      std::find_if(bytes, bytes + size, [](unsigned char byte) { return byte > 1; }) - bytes);
  return InvalidField("options.mask", absl::StrCat("a BOOL is the byte 0 or 1; got ",
                                                   static_cast<int>(bytes[at]), " at index ", at));
}

// `target` is [B, H, Lq, Lk].
absl::StatusOr<BatchScoreTerm> ResolveTerm(absl::string_view field, const Tensor& tensor,
                                           const std::array<int64_t, 4>& target) {
  if (tensor.rank() < 1 || tensor.rank() > 4) {
    return InvalidField(field,
                        absl::StrCat("needs 1 to 4 axes; got shape ", ToString(tensor.shape())));
  }
  std::array<int64_t, 4> strides = {0, 0, 0, 0};
  int64_t stride = 1;
  for (int axis = tensor.rank() - 1, at = 3; axis >= 0; --axis, --at) {
    const int64_t size = tensor.dim(axis);
    if (size != 1 && size != target[at]) {
      return InvalidField(field,
                          absl::StrCat("shape ", ToString(tensor.shape()),
                                       " does not broadcast to [B, H, Lq, Lk] = ", ToString(target),
                                       ": axis ", axis, " must be ", target[at], " or 1"));
    }
    strides[at] = size == 1 ? 0 : stride;
    stride *= size;  // of a tensor that exists: cannot overflow
  }
  BatchScoreTerm result;
  result.batch_stride = strides[0];
  result.term = {tensor.data(), tensor.type(), strides[1], strides[2], strides[3]};
  return result;
}

absl::Status ResolveOffsets(const AttentionOptions& options, BatchShape& shape) {
  const bool offsets_given = !options.query_offsets.empty();
  if (offsets_given && options.alignment != Alignment::kUnspecified) {
    return InvalidField("options.query_offsets",
                        "give options.alignment or options.query_offsets, not both");
  }
  if (!options.causal) return absl::OkStatus();  // nothing else depends on position
  if (offsets_given && options.query_offsets.size() != shape.sequences.size()) {
    return InvalidField("options.query_offsets",
                        absl::StrCat("needs one entry for each of the ", shape.sequences.size(),
                                     " sequences; got ", options.query_offsets.size()));
  }
  for (size_t i = 0; i < shape.sequences.size(); ++i) {
    SequenceShape& sequence = shape.sequences[i];
    if (offsets_given) {
      sequence.query_offset = std::clamp(options.query_offsets[i], -kFarOffset, kFarOffset);
    } else if (options.alignment == Alignment::kEnd) {
      sequence.query_offset = sequence.key_length - sequence.query_length;
    } else if (options.alignment == Alignment::kUnspecified &&
               sequence.query_length != sequence.key_length) {
      return InvalidField(
          "options.alignment",
          absl::StrCat("causal attention of ", sequence.query_length, " query rows to ",
                       sequence.key_length, " keys (sequence ", i,
                       ") needs options.alignment (ALIGNMENT_START or ALIGNMENT_END) or "
                       "options.query_offsets"));
    }
  }
  return absl::OkStatus();
}

absl::Status ResolveWeights(WeightsOutput weights, int64_t num_heads, const ShapeLimits& limits,
                            const BatchShape& shape, ResolvedOptions& resolved) {
  resolved.weights = weights;
  if (weights == WeightsOutput::kNone) return absl::OkStatus();
  resolved.weights_shape = {static_cast<int64_t>(shape.sequences.size())};
  if (weights == WeightsOutput::kPerHead) resolved.weights_shape.push_back(num_heads);
  resolved.weights_shape.push_back(shape.query_axis);
  resolved.weights_shape.push_back(shape.key_axis);
  const absl::StatusOr<size_t> bytes = CheckedByteSize(DataType::kFloat32, resolved.weights_shape);
  if (!bytes.ok() || *bytes > static_cast<size_t>(limits.max_weights_bytes)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "TOO_LARGE", "options.weights",
        absl::StrCat("options.weights: FLOAT32 weights of shape ", ToString(resolved.weights_shape),
                     " exceed this server's limit of ", limits.max_weights_bytes, " bytes"));
  }
  resolved.weights_bytes = *bytes;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BatchShape> ResolveLengths(const OperandRows& query, const OperandRows& key,
                                          bool self_attention,
                                          absl::Span<const int64_t> query_lengths,
                                          absl::Span<const int64_t> key_lengths,
                                          const ShapeLimits& limits) {
  if (self_attention && !key_lengths.empty()) {
    return InvalidField("key_lengths",
                        "must be absent where key is absent: query_lengths serves both");
  }
  if (!query.packed && !key.packed && query.batch != key.batch) {
    return InvalidField("key", absl::StrCat("must hold as many sequences as query, ", query.batch,
                                            "; got ", key.batch));
  }
  ATTEND_ASSIGN_OR_RETURN(const Lengths queries,
                          ResolveOperand("query", query, query_lengths, limits));
  std::optional<Lengths> other;
  if (!self_attention) {
    ATTEND_ASSIGN_OR_RETURN(other, ResolveOperand("key", key, key_lengths, limits));
  }
  const Lengths& keys = other.has_value() ? *other : queries;
  if (queries.length.size() != keys.length.size()) {
    return InvalidField("key_lengths", absl::StrCat("query_lengths makes ", queries.length.size(),
                                                    " sequences of query, but key_lengths makes ",
                                                    keys.length.size(), " of key"));
  }
  BatchShape shape;
  shape.query_axis = queries.axis;
  shape.key_axis = keys.axis;
  shape.query_rows = queries.rows;
  shape.key_rows = keys.rows;
  shape.sequences.resize(queries.length.size());
  for (size_t i = 0; i < shape.sequences.size(); ++i) {
    shape.sequences[i] = {queries.length[i], keys.length[i], queries.begin[i], keys.begin[i], 0};
  }
  return shape;
}

ScoreTerm BatchScoreTerm::OfSequence(int64_t index) const {
  ScoreTerm result = term;
  if (result.data != nullptr) {
    result.data += index * batch_stride * static_cast<int64_t>(ElementSize(term.type));
  }
  return result;
}

absl::StatusOr<ResolvedOptions> ResolveOptions(const AttentionOptions& options, int64_t num_heads,
                                               float default_scale, const ShapeLimits& limits,
                                               BatchShape& shape) {
  ResolvedOptions resolved;
  resolved.scale = options.scale.value_or(default_scale);
  if (!std::isfinite(resolved.scale)) {
    return InvalidField("options.scale", absl::StrCat("must be finite; got ", resolved.scale));
  }
  resolved.causal = options.causal;
  ATTEND_RETURN_IF_ERROR(ResolveOffsets(options, shape));

  const std::array<int64_t, 4> target = {static_cast<int64_t>(shape.sequences.size()), num_heads,
                                         shape.query_axis, shape.key_axis};
  if (options.bias.has_value()) {
    if (!IsFloat(options.bias->type())) {
      return InvalidField("options.bias",
                          "needs type FLOAT32, BFLOAT16 or FLOAT16; got BOOL, which is for "
                          "options.mask");
    }
    ATTEND_ASSIGN_OR_RETURN(resolved.bias, ResolveTerm("options.bias", *options.bias, target));
  }
  if (options.mask.has_value()) {
    if (IsFloat(options.mask->type())) {
      return InvalidField("options.mask", absl::StrCat("needs type BOOL (true = may attend); got ",
                                                       Name(options.mask->type()),
                                                       "; give an additive mask as options.bias"));
    }
    ATTEND_ASSIGN_OR_RETURN(resolved.mask, ResolveTerm("options.mask", *options.mask, target));
    ATTEND_RETURN_IF_ERROR(CheckBools(*options.mask));
  }

  if (!options.head_gates.empty()) {
    if (static_cast<int64_t>(options.head_gates.size()) != num_heads) {
      return InvalidField("options.head_gates",
                          absl::StrCat("needs one entry for each of the ", num_heads,
                                       " heads; got ", options.head_gates.size()));
    }
    for (const float gate : options.head_gates) {
      if (!std::isfinite(gate)) {
        return InvalidField("options.head_gates", absl::StrCat("must be finite; got ", gate));
      }
    }
    resolved.head_gates = options.head_gates;
  }
  ATTEND_RETURN_IF_ERROR(ResolveWeights(options.weights, num_heads, limits, shape, resolved));
  return resolved;
}

}  // namespace attend
