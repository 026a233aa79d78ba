// SPDX-License-Identifier: Apache-2.0
#include "core/layer/layer_rates.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <numeric>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/find_least.h"

namespace attend {
namespace {

constexpr MeasuredRuns kRuns = {3, 30, 0.003};

// Rows of the measurement with many: two of oneDNN's blocks, so that the second finds its
// weights in the cache, as most blocks of long requests do.
constexpr int64_t kManyRows = 128;

// Multiply-adds after which a worker takes no further task: about a millisecond.
constexpr double kEnoughMultiplyAdds = double{1 << 26};

// The share of a single row's time that counts for the batch. Time first grows little with the
// number of rows, while weights are read, and then in proportion to it. The sum of a fixed and a
// proportional part is therefore too short for one row or too long for some rows. This share
// balances both: 0.85 times and 1.3 times, measured at one and at four rows.
constexpr double kFixedShare = 0.5;

// What norm and rotary embedding take per feature of a query or key, in units of
// AttentionRates::feature.
constexpr double kNormRotaryFeatures = 4.0;

double Weights(const Linear& linear) {
  return static_cast<double>(linear.config().inputs) * static_cast<double>(linear.config().outputs);
}

// The processor time of this thread, which other programs do not disturb.
double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Rows of 0 for one projection.
class ProjectionRows {
 public:
  ProjectionRows(const Linear& linear, int64_t rows)
      : x_(Bytes(rows * linear.config().inputs, linear.config().input_type)),
        y_(Bytes(rows * linear.config().outputs, DataType::kFloat32)) {
    std::memset(x_.data(), 0, x_.size());
    for (int64_t row = 0; row < rows; ++row) {
      x_rows_.push_back(x_.data() +
                        Bytes(row * linear.config().inputs, linear.config().input_type));
      y_rows_.push_back(y_.data() + Bytes(row * linear.config().outputs, DataType::kFloat32));
    }
  }

  LinearBatch batch() const {
    return {static_cast<int64_t>(x_rows_.size()), x_rows_.data(), y_rows_.data(),
            DataType::kFloat32};
  }

 private:
  static size_t Bytes(int64_t elements, DataType type) {
    return static_cast<size_t>(elements) * ElementSize(type);
  }

  AlignedBuffer x_, y_;
  std::vector<const std::byte*> x_rows_;
  std::vector<std::byte*> y_rows_;
};

// Seconds of projections of one row, which run side by side.
double TimeOneRow(absl::Span<const Linear* const> linears, ExecutionContext& context) {
  struct Task {
    const Linear* linear;
    const ProjectionRows* rows;
    int64_t index;
  };
  std::vector<ProjectionRows> rows;
  for (const Linear* linear : linears) rows.emplace_back(*linear, 1);
  std::vector<Task> tasks;
  for (size_t i = 0; i < linears.size(); ++i) {
    for (int64_t t = 0; t < linears[i]->NumTasks(1); ++t)
      tasks.push_back({linears[i], &rows[i], t});
  }
  return FindLeast(kRuns, [&] {
    const auto start = std::chrono::steady_clock::now();
    context.pool().ParallelFor(static_cast<int64_t>(tasks.size()), [&](int64_t i, int worker) {
      const Task& task = tasks[static_cast<size_t>(i)];
      task.linear->Run(task.index, task.rows->batch(), context.arena(worker));
    });
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  });
}

// Seconds per multiply-add of one worker while all workers project many rows.
double TimeManyRows(const Linear& linear, ExecutionContext& context) {
  const int workers = context.workers();
  std::vector<ProjectionRows> rows;
  for (int worker = 0; worker < workers; ++worker) rows.emplace_back(linear, kManyRows);
  const int64_t tasks = linear.NumTasks(kManyRows);
  const double per_task =
      static_cast<double>(kManyRows) * Weights(linear) / static_cast<double>(tasks);
  const int64_t count = std::clamp<int64_t>(static_cast<int64_t>(kEnoughMultiplyAdds / per_task),
                                            std::min<int64_t>(2, tasks), tasks);
  std::vector<double> times(static_cast<size_t>(workers));
  const double seconds = FindLeast(kRuns, [&] {
    context.pool().ParallelFor(workers, [&](int64_t i, int worker) {
      const double start = ThreadSeconds();
      const LinearBatch batch = rows[static_cast<size_t>(i)].batch();
      for (int64_t task = 0; task < count; ++task) linear.Run(task, batch, context.arena(worker));
      times[static_cast<size_t>(i)] = ThreadSeconds() - start;
    });
    return std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(workers);
  });
  return seconds / (per_task * static_cast<double>(count));
}

}  // namespace

LayerRates MeasureLayer(const Layer& layer, ExecutionContext& context) {
  const Linear* const inputs[] = {&layer.query(), &layer.key(), &layer.value()};
  const Linear* const outputs[] = {&layer.output()};
  LayerRates rates;
  rates.multiply_add = TimeManyRows(layer.query(), context);
  rates.batch = kFixedShare * (TimeOneRow(inputs, context) + TimeOneRow(outputs, context));
  context.Trim();
  return rates;
}

bool HaveSameRates(const Layer& a, const Layer& b) {
  const auto same = [](const Linear& x, const Linear& y) {
    return x.config().inputs == y.config().inputs && x.config().outputs == y.config().outputs &&
           x.config().input_type == y.config().input_type && x.config().matmul == y.config().matmul;
  };
  return same(a.query(), b.query()) && same(a.key(), b.key()) && same(a.value(), b.value()) &&
         same(a.output(), b.output());
}

double PredictLayer(const Layer& layer, const LayerRates& rates, const AttentionRates& attention,
                    const CpuFeatures& cpu, const LayerRequest& request) {
  const LayerConfig& config = layer.config();
  int64_t queries = 0, keys = 0;
  double bias_elements = 0.0;
  for (const PlacedSequence& sequence : request.sequences) {
    if (sequence.query_length == 0) continue;  // nothing is computed for it
    queries += sequence.query_length;
    keys += sequence.key_length;
    if (!layer.relative_bias().has_value()) continue;
    bias_elements += static_cast<double>(layer.relative_bias()->CountElements(sequence));
  }
  if (queries == 0) return 0.0;
  const auto query_rows = static_cast<double>(queries), key_rows = static_cast<double>(keys);
  const auto project = [&](double multiply_adds, int64_t tasks) {
    const auto shared = static_cast<double>(std::clamp<int64_t>(tasks, 1, request.workers));
    return multiply_adds * rates.multiply_add / shared;
  };
  double seconds = project(
      query_rows * Weights(layer.query()) +
          key_rows * (Weights(layer.key()) + Weights(layer.value())),
      layer.query().NumTasks(queries) + layer.key().NumTasks(keys) + layer.value().NumTasks(keys));
  seconds += project(query_rows * Weights(layer.output()), layer.output().NumTasks(queries));

  double features = 0.0;
  if (request.type != config.compute_type()) {
    features += 2.0 * query_rows * static_cast<double>(config.embed_dim);
    if (request.key_source == KeySource::kOwnRows) {
      features += key_rows * static_cast<double>(config.key_dim + config.value_dim);
    }
  }
  if (!layer.norm_rotary().empty()) {
    features += kNormRotaryFeatures * static_cast<double>(config.head_dim) *
                (query_rows * static_cast<double>(config.num_heads) +
                 key_rows * static_cast<double>(config.num_kv_heads));
  }
  seconds += (features * attention.feature + bias_elements * attention.term) /
             static_cast<double>(request.workers);

  AttentionShape shape(config.heads(), config.compute_type());
  shape.has_relative_bias = layer.relative_bias().has_value();
  return seconds + PredictAttention(attention, cpu, shape, *request.params, request.sequences,
                                    request.workers);
}

}  // namespace attend
