// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_LOAD_H_
#define ATTEND_CORE_WEIGHTS_LOAD_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/layer/layer.h"
#include "core/weights/layer_source.h"
#include "core/weights/random_layer.h"

namespace attend {

// Opens `spec.path`: a directory as a checkpoint, a file as the parameters of one
// torch.nn.MultiheadAttention. Errors are those of OpenCheckpoint and OpenTorchAttention.
absl::StatusOr<std::unique_ptr<const LayerSource>> OpenModel(const ModelSpec& spec);

// Loads all attention layers of a model. Those of a checkpoint directory are named NAME/0,
// NAME/1, ... (docs/models.md has the names of T5's layers), that of a
// torch.nn.MultiheadAttention file is named NAME. Files are read and checked strictly; an
// error names the file and the tensor, or the layer. Blocks on the disk and while weights are
// packed.
absl::StatusOr<std::vector<std::unique_ptr<const Layer>>> LoadModel(const ModelSpec& spec);

// Makes a layer with random weights: the same spec gives the same layer on every machine.
// Errors are those of DrawRandomLayer and Layer::Create.
absl::StatusOr<std::unique_ptr<const Layer>> MakeRandomLayer(const RandomLayerSpec& spec);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_LOAD_H_
