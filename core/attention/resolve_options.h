// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_RESOLVE_OPTIONS_H_
#define ATTEND_CORE_ATTENTION_RESOLVE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "core/attention/lengths.h"
#include "core/attention/options.h"
#include "core/attention/problem.h"
#include "core/tensor/tensor.h"

namespace attend {

// The values of options that a request leaves out: a layer's settings, or the operator's.
struct OptionDefaults {
  float scale = 1.0f;
  float softcap = 0.0f;  // 0: none
  std::optional<int64_t> window_left, window_right;
  bool positional = false;  // results depend on positions whatever the options are
};

struct ResolvedOptions {
  AttentionParams params;
  // Whether results depend on positions. If not, the offsets of the sequences are not set.
  bool positional = false;
  Shape weights_shape;  // [B, H, Lq, Lk] or [B, Lq, Lk]; empty where none
  size_t weights_bytes = 0;
  Shape log_sum_exp_shape;  // [B, H, Lq], packed [Tq, H]; empty if not requested
  size_t log_sum_exp_bytes = 0;
};

// Checks options against the contract (attend.v1.AttentionOptions) and resolves everything
// optional. Sets the offset, bias, mask and slopes of each sequence of `shape`, which borrow
// from `options`. INVALID_ARGUMENT with the field that is wrong. Pure, thread-safe.
absl::StatusOr<ResolvedOptions> ResolveOptions(const AttentionOptions& options, int64_t num_heads,
                                               const OptionDefaults& defaults,
                                               const ShapeLimits& limits, BatchShape& shape);

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_RESOLVE_OPTIONS_H_
