// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LAYER_LAYER_RATES_H_
#define ATTEND_CORE_LAYER_LAYER_RATES_H_

#include "absl/types/span.h"
#include "core/attention/lengths.h"
#include "core/attention/rates.h"
#include "core/exec/execution_context.h"
#include "core/layer/layer.h"
#include "core/layer/layer_item.h"

namespace attend {

// How long the projections of a layer take, in seconds.
struct LayerRates {
  double multiply_add = 0.0;  // of one worker, with many rows
  // What a batch takes beside its rows: mostly the reading of weights. A batch of one row
  // takes a little more.
  double batch = 0.0;
};

// Measures the layer's own projections on all workers, with one row and with many, for some
// milliseconds. Large layers run a part of their tasks.
LayerRates MeasureLayer(const Layer& layer, ExecutionContext& context);

// Whether two layers have projections of the same shape, type and engine, and thus the same
// rates.
bool HaveSameRates(const Layer& a, const Layer& b);

// One request to a layer: how it is computed, and by how many workers.
struct LayerRequest {
  const AttentionParams* params = nullptr;
  DataType type = DataType::kFloat32;  // of query and output
  KeySource key_source = KeySource::kQueryRows;
  absl::Span<const PlacedSequence> sequences;
  int workers = 1;
};

// The time in seconds that the request adds to a batch of the layer. A pure function of rates,
// shapes and options; finite and >= 0, and 0 if no sequence has a query row.
double PredictLayer(const Layer& layer, const LayerRates& rates, const AttentionRates& attention,
                    const CpuFeatures& cpu, const LayerRequest& request);

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_LAYER_RATES_H_
