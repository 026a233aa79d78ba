// SPDX-License-Identifier: Apache-2.0
#include "core/attention/lengths.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace attend {
namespace {

struct Lengths {
  int64_t axis = 0;
  int64_t rows = 0;
  std::vector<int64_t> length;  // per sequence
  std::vector<int64_t> begin;
};

absl::Status CheckLengthSum(absl::string_view operand, absl::string_view field,
                            absl::Span<const int64_t> lengths, int64_t rows) {
  int64_t left = rows;  // rows not yet taken: a sum of lengths may overflow
  for (const int64_t length : lengths) {
    if (length < 0 || length > left) {
      return InvalidField(field,
                          absl::StrCat("lengths must be >= 0 and sum to the ", rows, " rows of ",
                                       operand, "; got ", length, " where ", left, " are left"),
                          "LENGTHS_MISMATCH");
    }
    left -= length;
  }
  if (left != 0) {
    return InvalidField(
        field, absl::StrCat("must sum to the ", rows, " rows of ", operand, "; got ", rows - left),
        "LENGTHS_MISMATCH");
  }
  return absl::OkStatus();
}

absl::Status CheckDenseLengths(absl::string_view operand, absl::string_view field,
                               absl::Span<const int64_t> given, const OperandRows& rows) {
  if (!given.empty() && static_cast<int64_t>(given.size()) != rows.batch) {
    return InvalidField(field,
                        absl::StrCat("needs one entry for each of the ", rows.batch,
                                     " sequences of ", operand, "; got ", given.size()),
                        "LENGTHS_MISMATCH");
  }
  for (const int64_t length : given) {
    if (length < 0 || length > rows.rows) {
      return InvalidField(
          field,
          absl::StrCat("must be from 0 to the ", rows.rows, " rows of ", operand, "; got ", length),
          "LENGTHS_MISMATCH");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Lengths> ResolveOperand(absl::string_view operand, const OperandRows& rows,
                                       absl::Span<const int64_t> given, const ShapeLimits& limits) {
  const std::string field = absl::StrCat(operand, "_lengths");
  Lengths result;
  const int64_t count =
      !rows.packed ? rows.batch : (given.empty() ? 1 : static_cast<int64_t>(given.size()));
  if (count > limits.max_sequences) {
    return MakeError(absl::StatusCode::kInvalidArgument, "TOO_LARGE", operand,
                     absl::StrCat(operand, ": a request may hold ", limits.max_sequences,
                                  " sequences; got ", count));
  }
  if (rows.packed) {
    result.length.assign(given.begin(), given.end());
    if (given.empty()) result.length = {rows.rows};
    ATTEND_RETURN_IF_ERROR(CheckLengthSum(operand, field, result.length, rows.rows));
    for (const int64_t length : result.length) result.axis = std::max(result.axis, length);
  } else {
    ATTEND_RETURN_IF_ERROR(CheckDenseLengths(operand, field, given, rows));
    result.length.assign(given.begin(), given.end());
    if (given.empty()) result.length.assign(static_cast<size_t>(count), rows.rows);
    result.axis = rows.rows;
  }
  if (result.axis > limits.max_sequence_length) {
    return MakeError(absl::StatusCode::kInvalidArgument, "TOO_LARGE", operand,
                     absl::StrCat(operand, ": a sequence may have ", limits.max_sequence_length,
                                  " rows on this server; got ", result.axis));
  }
  // Sums and products below are small: count and axis are within limits.
  result.begin.reserve(result.length.size());
  for (size_t i = 0; i < result.length.size(); ++i) {
    result.begin.push_back(rows.packed ? result.rows : static_cast<int64_t>(i) * rows.rows);
    result.rows += result.length[i];
  }
  if (result.rows > limits.max_rows) {
    return MakeError(absl::StatusCode::kInvalidArgument, "TOO_LARGE", operand,
                     absl::StrCat(operand, ": a request may have ", limits.max_rows,
                                  " rows in all on this server; got ", result.rows));
  }
  return result;
}

}  // namespace

absl::StatusOr<BatchShape> ResolveLengths(const OperandRows& query, const OperandRows& key,
                                          bool self_attention,
                                          absl::Span<const int64_t> query_lengths,
                                          absl::Span<const int64_t> key_lengths,
                                          const ShapeLimits& limits) {
  if (self_attention && !key_lengths.empty()) {
    return InvalidField("key_lengths",
                        "must be absent where key is absent: query_lengths serves both",
                        "CONFLICTING_FIELDS");
  }
  if (!query.packed && !key.packed && query.batch != key.batch) {
    return InvalidField(
        "key",
        absl::StrCat("must hold as many sequences as query, ", query.batch, "; got ", key.batch),
        "SHAPE_MISMATCH");
  }
  ATTEND_ASSIGN_OR_RETURN(const Lengths queries,
                          ResolveOperand("query", query, query_lengths, limits));
  std::optional<Lengths> other;
  if (!self_attention) {
    ATTEND_ASSIGN_OR_RETURN(other, ResolveOperand("key", key, key_lengths, limits));
  }
  const Lengths& keys = other.has_value() ? *other : queries;
  if (queries.length.size() != keys.length.size()) {
    return InvalidField(
        "key_lengths",
        absl::StrCat("query_lengths makes ", queries.length.size(),
                     " sequences of query, but key_lengths makes ", keys.length.size(), " of key"),
        "LENGTHS_MISMATCH");
  }
  BatchShape shape;
  shape.packed = query.packed;
  shape.max_query_length = queries.axis;
  shape.max_key_length = keys.axis;
  shape.query_rows = queries.rows;
  shape.key_rows = keys.rows;
  shape.sequences.resize(queries.length.size());
  for (size_t i = 0; i < shape.sequences.size(); ++i) {
    PlacedSequence& sequence = shape.sequences[i];
    sequence.query_length = queries.length[i];
    sequence.key_length = keys.length[i];
    sequence.query_begin = queries.begin[i];
    sequence.key_begin = keys.begin[i];
  }
  return shape;
}

}  // namespace attend
