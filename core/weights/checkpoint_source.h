// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_CHECKPOINT_SOURCE_H_
#define ATTEND_CORE_WEIGHTS_CHECKPOINT_SOURCE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "core/weights/layer_source.h"

namespace attend {

// Opens the checkpoint directory `spec.path`; docs/models.md lists the families that are known.
// INVALID_ARGUMENT if config.json asks for attention that a layer does not have, if the tensors
// do not fit config.json, or if `spec.num_heads` contradicts it; other errors are those of
// Checkpoint::Open. Blocks on the disk.
absl::StatusOr<std::unique_ptr<const LayerSource>> OpenCheckpoint(const ModelSpec& spec);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_CHECKPOINT_SOURCE_H_
