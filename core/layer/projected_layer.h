#ifndef ATTEND_CORE_LAYER_PROJECTED_LAYER_H_
#define ATTEND_CORE_LAYER_PROJECTED_LAYER_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "core/layer/head_pass.h"
#include "core/layer/layer.h"
#include "core/layer/relative_bias.h"
#include "core/linalg/linear.h"

namespace attend::internal {

struct Projections {
  std::unique_ptr<const Linear> query, key, value, output;
  bool has_query_bias = false;
  bool has_key_bias = false;
  bool has_value_bias = false;
  bool has_output_bias = false;
  int64_t parameters = 0;
};

// The layer: projections around the operator. Working memory is kept by the
// thread that calls Run, up to a bound, so a warm call allocates nothing large.
class ProjectedLayer final : public Layer {
 public:
  // Takes from `weights` what is not in the projections.
  ProjectedLayer(LayerConfig config, Projections projections, const LayerWeights& weights);

  const LayerConfig& config() const override { return config_; }
  bool has_query_bias() const override { return projections_.has_query_bias; }
  bool has_key_bias() const override { return projections_.has_key_bias; }
  bool has_value_bias() const override { return projections_.has_value_bias; }
  bool has_output_bias() const override { return projections_.has_output_bias; }
  int64_t parameter_count() const override { return projections_.parameters; }

  void Run(absl::Span<const LayerItem* const> items, ExecutionContext& context) const override;
  double Flops(const LayerItem& item) const override;
  int64_t WorkingBytes(const LayerItem& item) const override;

 private:
  const LayerConfig config_;
  const Projections projections_;
  const HeadPass head_pass_;
  std::optional<const RelativeBias> relative_bias_;
};

}  // namespace attend::internal

#endif  // ATTEND_CORE_LAYER_PROJECTED_LAYER_H_
