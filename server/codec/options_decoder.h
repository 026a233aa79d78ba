// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_OPTIONS_DECODER_H_
#define ATTEND_SERVER_CODEC_OPTIONS_DECODER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/attention/options.h"
#include "proto/wire/reader.h"
#include "server/codec/fields.h"
#include "server/codec/limits.h"
#include "server/codec/tensor_decoder.h"

namespace attend {

// What the wire says of attend.v1.AttentionOptions, before enums are checked
// and tensors are copied.
struct OptionsParts {
  std::optional<float> scale;
  bool causal = false;
  int alignment = 0;
  std::vector<int64_t> query_offsets;
  std::optional<int64_t> window_left, window_right;
  std::optional<float> softcap;
  std::optional<TensorParts> bias;
  std::optional<TensorParts> mask;
  std::optional<TensorParts> alibi_slopes;
  std::vector<float> sinks;
  std::vector<float> head_gates;
  int weights = 0;
  int weights_stage = 0;
  bool log_sum_exp = false;
};

// Reads one occurrence of the field into `parts`, merging. UNIMPLEMENTED for a
// field that is not known.
absl::Status ReadOptions(WireReader& wire, const FieldPath& path, WireTag tag,
                         const DecodeLimits& limits, OptionsParts& parts);

absl::StatusOr<AttentionOptions> MakeOptions(const WireReader& wire, const FieldPath& path,
                                             OptionsParts parts);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_OPTIONS_DECODER_H_
