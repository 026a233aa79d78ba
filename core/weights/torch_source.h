// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_TORCH_SOURCE_H_
#define ATTEND_CORE_WEIGHTS_TORCH_SOURCE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "core/weights/layer_source.h"

namespace attend {

// Opens the safetensors file `spec.path` as the parameters of one torch.nn.MultiheadAttention,
// under the names of its state_dict (torch/nn/modules/activation.py), E being embed_dim:
//
//   in_proj_weight [3E, E]   query, key and value stacked; or, in its place,
//   q_proj_weight [E, E], k_proj_weight [E, kdim], v_proj_weight [E, vdim]
//   in_proj_bias [3E], out_proj.bias [E]   both or neither
//   out_proj.weight [E, E]
//
// bias_k and bias_v [1, 1, E], an extra key and value, are refused. The file does not hold the
// number of heads, so `spec.num_heads` must give it. INVALID_ARGUMENT if the tensors are
// others or their shapes do not fit; other errors are those of Safetensors::Open. Blocks on the
// disk.
absl::StatusOr<std::unique_ptr<const LayerSource>> OpenTorchAttention(const ModelSpec& spec);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_TORCH_SOURCE_H_
