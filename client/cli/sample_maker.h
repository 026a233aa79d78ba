// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_SAMPLE_MAKER_H_
#define ATTEND_CLIENT_CLI_SAMPLE_MAKER_H_

#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "attend/v1/layer.pb.h"
#include "client/cli/bench_arguments.h"
#include "client/cli/load.h"

namespace attend::cli {

// Makes the requests of a load, with random values: up to 64, as far as 256 MiB allow, so that
// neither end works on one request that stays in its cache. `from` must be resolved; it and `layer`
// must outlive this.
class SampleMaker {
 public:
  SampleMaker(const BenchArguments& from, const v1::LayerInfo& layer)
      : from_(from), layer_(layer), random_(from.plan.seed) {}

  // INVALID_ARGUMENT where a request would be larger than any may be.
  absl::StatusOr<std::vector<Sample>> Make();

 private:
  bool packed() const { return from_.min_tokens != from_.max_tokens; }
  client::Shape Lead(const std::vector<int64_t>& lengths, int64_t tokens) const;
  absl::StatusOr<client::TensorView> Array(client::Shape shape,
                                           std::initializer_list<int64_t> tail);
  absl::StatusOr<Sample> MakeOne();
  absl::StatusOr<client::PreparedRequest> Operator(const client::Shape& lead,
                                                   const std::vector<int64_t>& lengths,
                                                   Sample* sample);
  absl::StatusOr<client::PreparedRequest> Layer(const client::Shape& lead,
                                                const std::vector<int64_t>& lengths,
                                                Sample* sample);

  const BenchArguments& from_;
  const v1::LayerInfo& layer_;
  std::mt19937_64 random_;
};

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_SAMPLE_MAKER_H_
