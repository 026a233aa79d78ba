// SPDX-License-Identifier: Apache-2.0
#include "core/engine/layer_warm_up.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/task_gate.h"
#include "core/batching/lane_turns.h"
#include "core/exec/topology.h"

namespace attend {
namespace {

// One row takes the decode kernel and panels; 64 + 32 + 1 rows take the prefill kernel, each size
// of oneDNN's blocks, and panels for the row that is left.
constexpr int64_t kOneRow = 1, kShortBatchRows = 97;

Tensor MakeZeros(int64_t rows, int64_t width) {
  Tensor tensor(DataType::kFloat32, {1, rows, width});
  std::memset(tensor.data(), 0, tensor.byte_size());
  return tensor;
}

MultiHeadAttentionRequest MakeRequest(const LayerConfig& layer, int64_t rows) {
  MultiHeadAttentionRequest request;
  request.layer = layer.name;
  request.query = MakeZeros(rows, layer.embed_dim);
  if (layer.key_dim != layer.embed_dim) request.key = MakeZeros(rows, layer.key_dim);
  if (layer.value_dim != layer.key_dim) request.value = MakeZeros(rows, layer.value_dim);
  return request;
}

int64_t CountBytes(const MultiHeadAttentionRequest& request) {
  size_t bytes = request.query.byte_size();
  if (request.key.has_value()) bytes += request.key->byte_size();
  if (request.value.has_value()) bytes += request.value->byte_size();
  return static_cast<int64_t>(bytes);
}

}  // namespace

absl::StatusOr<bool> LayerWarmUp::RunRows(int64_t rows, const std::shared_ptr<const Layer>& layer,
                                          LayerRunner& runner, int lane) const {
  MultiHeadAttentionRequest request = MakeRequest(layer->config(), rows);
  const int64_t input_bytes = CountBytes(request);
  const absl::StatusOr<std::unique_ptr<Operation>> operation =
      LayerOperation::Create(std::move(request), layer, runner, limits_);
  if (!operation.ok()) return false;
  const Cost& cost = (*operation)->cost();
  if (clock_.Now() + absl::Seconds(cost.seconds + runner.batch_seconds()) > deadline_) return false;
  absl::StatusOr<MemoryCharge> charge = budget_.Charge(input_bytes + cost.bytes);
  if (!charge.ok()) return false;
  absl::Status end;
  (*operation)->Accept(*std::move(charge), [&end](absl::StatusOr<Response> response) {
    end = std::move(response).status();
  });
  (*operation)->Prepare(lane);
  TaskGate gate;
  runner.Run(lane, gate);
  (*operation)->End(Timing());
  if (end.ok()) return true;
  return absl::Status(end.code(), absl::StrCat("layer ", layer->config().name,
                                               " cannot be computed: ", end.message()));
}

absl::StatusOr<bool> LayerWarmUp::RunLayer(const std::shared_ptr<const Layer>& layer,
                                           LayerRunner& runner, int lane) const {
  const int64_t many = std::min(kShortBatchRows, limits_.max_sequence_length);
  bool all = true;
  // Arenas find out with the first batch how large a single block must be, and make it for the
  // second.
  for (const int64_t rows : {kOneRow, many, many}) {
    ATTEND_ASSIGN_OR_RETURN(const bool ran, RunRows(rows, layer, runner, lane));
    all = all && ran;
  }
  return all;
}

absl::StatusOr<int64_t> LayerWarmUp::RunAll(const LayerRegistry::Layers& layers,
                                            LayerRunners& runners,
                                            absl::Span<const ExecutorPlan> plans) const {
  std::vector<absl::StatusOr<int64_t>> counts(plans.size(), 0);
  std::vector<std::thread> threads;
  for (size_t executor = 0; executor < plans.size(); ++executor) {
    threads.emplace_back([&, executor] {
      PinThisThread(plans[executor].cpus);
      const int lane = static_cast<int>(executor) * kLanes + kShortLane;
      absl::StatusOr<int64_t>& count = counts[executor];
      for (auto layer = layers.begin(); layer != layers.end() && count.ok(); ++layer) {
        const absl::StatusOr<bool> ran =
            RunLayer(layer->second.layer, runners.find(layer->first)->second, lane);
        if (!ran.ok()) {
          count = ran.status();
        } else {
          *count += *ran;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  int64_t least = static_cast<int64_t>(layers.size());
  for (const absl::StatusOr<int64_t>& count : counts) {
    ATTEND_RETURN_IF_ERROR(count.status());
    least = std::min(least, *count);
  }
  return least;
}

}  // namespace attend
