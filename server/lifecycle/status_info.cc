// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/status_info.h"

#include "absl/strings/str_cat.h"
#include "server/config/command_line.h"
#include "server/version.h"

namespace attend {

StatusInfo DescribeServer(const ServerConfig& config, const LayerRegistry& registry) {
  StatusInfo info = {kVersion, kRevision, kCompiler, {}, PublicSettings(config)};
  for (const auto& [name, entry] : registry.layers()) {
    const LayerConfig& of = entry.layer->config();
    info.layers.push_back({name, absl::StrCat(of.embed_dim), absl::StrCat(of.num_heads),
                           absl::StrCat(of.num_kv_heads),
                           of.compute == ComputeType::kBFloat16 ? "bf16" : "f32"});
  }
  return info;
}

}  // namespace attend
