#include "core/layer/relative_bias.h"

#include <algorithm>
#include <cmath>

namespace attend::internal {
namespace {

// Distances of a head's strip, from the last row's first key to the first row's
// last key.
int64_t StripLength(const LayerSequence& sequence) {
  return sequence.query_length + sequence.key_length - 1;
}

}  // namespace

RelativeBias::RelativeBias(const RelativeBiasConfig& config, int64_t num_heads,
                           absl::Span<const float> weights)
    : num_heads_(num_heads), reach_(config.max_distance) {
  by_distance_.reserve(static_cast<size_t>(num_heads * (2 * reach_ + 1)));
  for (int64_t head = 0; head < num_heads; ++head) {
    for (int64_t distance = -reach_; distance <= reach_; ++distance) {
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
  // In float32 and in this order, as models were trained, so that a distance on
  // the border of two buckets falls into the same one.
  const auto exact_float = static_cast<float>(exact);
  const float share = std::log(static_cast<float>(distance) / exact_float) /
                      static_cast<float>(std::log(static_cast<double>(config.max_distance) /
                                                  static_cast<double>(exact)));
  const auto further = static_cast<int64_t>(share * static_cast<float>(buckets - exact));
  return first + std::min(exact + further, buckets - 1);
}

const float* RelativeBias::ByDistance(int64_t head) const {
  return by_distance_.data() + head * (2 * reach_ + 1) + reach_;
}

int64_t RelativeBias::Elements(const LayerSequence& sequence) const {
  if (sequence.query_length == 0 || sequence.key_length == 0) return 0;
  return num_heads_ * StripLength(sequence);
}

void RelativeBias::Fill(const LayerSequence& sequence, int64_t head, float* data) const {
  const int64_t rows = sequence.query_length, keys = sequence.key_length;
  if (rows == 0 || keys == 0) return;
  const float* const by_distance = ByDistance(head);
  // An offset so far that every distance is beyond reach, in place of a farther one.
  const int64_t offset = std::clamp(sequence.query_offset, -rows - reach_, keys + reach_);
  const int64_t first = -(offset + rows - 1);  // of the last row to key 0
  float* const strip = data + head * StripLength(sequence);
  for (int64_t i = 0; i < StripLength(sequence); ++i) {
    strip[i] = by_distance[std::clamp(first + i, -reach_, reach_)];
  }
}

ScoreTerm RelativeBias::Term(const LayerSequence& sequence, const float* data) const {
  const int64_t rows = sequence.query_length, keys = sequence.key_length;
  if (rows == 0 || keys == 0) return {};
  // Row 0 starts behind the rows that follow it.
  return {reinterpret_cast<const std::byte*>(data + rows - 1), DataType::kFloat32,
          StripLength(sequence), -1, 1};
}

}  // namespace attend::internal
