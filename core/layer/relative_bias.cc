// SPDX-License-Identifier: Apache-2.0
#include "core/layer/relative_bias.h"

#include <algorithm>
#include <cmath>

namespace attend::internal {
namespace {

// The number of distances of one head, from the last row's first key to the first row's last
// key.
int64_t CountDistances(const SequenceArgs& sequence) {
  return sequence.query_length + sequence.key_length - 1;
}

}  // namespace

RelativeBias::RelativeBias(const RelativeBiasConfig& config, int64_t num_heads,
                           absl::Span<const float> weights)
    : num_heads_(num_heads), max_distance_(config.max_distance) {
  by_distance_.reserve(static_cast<size_t>(num_heads * (2 * max_distance_ + 1)));
  for (int64_t head = 0; head < num_heads; ++head) {
    for (int64_t distance = -max_distance_; distance <= max_distance_; ++distance) {
      by_distance_.push_back(weights[Bucket(config, distance) * num_heads + head]);
    }
  }
}

int64_t RelativeBias::Bucket(const RelativeBiasConfig& config, int64_t distance) {
  int64_t buckets = config.buckets;
  int64_t first = 0;
  if (config.bidirectional) {
    buckets /= 2;
    if (distance > 0) first = buckets;
    distance = std::abs(distance);
  } else {
    distance = std::max<int64_t>(0, -distance);
  }
  const int64_t exact = buckets / 2;
  if (distance < exact) return first + distance;
  // Computed in float32 and in this order, as models were trained, so that a distance on the
  // border of two buckets falls into the same one.
  const auto exact_float = static_cast<float>(exact);
  const float share = std::log(static_cast<float>(distance) / exact_float) /
                      static_cast<float>(std::log(static_cast<double>(config.max_distance) /
                                                  static_cast<double>(exact)));
  const auto further = static_cast<int64_t>(share * static_cast<float>(buckets - exact));
  return first + std::min(exact + further, buckets - 1);
}

const float* RelativeBias::ByDistance(int64_t head) const {
  return by_distance_.data() + head * (2 * max_distance_ + 1) + max_distance_;
}

int64_t RelativeBias::CountElements(const SequenceArgs& sequence) const {
  if (sequence.query_length == 0 || sequence.key_length == 0) return 0;
  return num_heads_ * CountDistances(sequence);
}

void RelativeBias::Fill(const SequenceArgs& sequence, int64_t head, float* data) const {
  const int64_t rows = sequence.query_length, keys = sequence.key_length;
  if (rows == 0 || keys == 0) return;
  const float* const by_distance = ByDistance(head);
  // Beyond these bounds every distance is beyond max_distance_.
  const int64_t offset =
      std::clamp(sequence.query_offset, -rows - max_distance_, keys + max_distance_);
  const int64_t first = -(offset + rows - 1);  // distance from the last row to key 0
  float* const biases = data + head * CountDistances(sequence);
  for (int64_t i = 0; i < CountDistances(sequence); ++i) {
    biases[i] = by_distance[std::clamp(first + i, -max_distance_, max_distance_)];
  }
}

ScoreTerm RelativeBias::Term(const SequenceArgs& sequence, const float* data) const {
  const int64_t rows = sequence.query_length, keys = sequence.key_length;
  if (rows == 0 || keys == 0) return {};
  // Row 0 starts behind the rows that follow it.
  return {reinterpret_cast<const std::byte*>(data + rows - 1), DataType::kFloat32,
          CountDistances(sequence), -1, 1};
}

}  // namespace attend::internal
