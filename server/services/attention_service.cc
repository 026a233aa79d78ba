// SPDX-License-Identifier: Apache-2.0
#include "server/services/attention_service.h"

#include <memory>
#include <utility>

#include "server/services/pipeline_call.h"

namespace attend {

AttentionService::AttentionService(Engine& engine, Metrics& metrics, CallsInFlight& calls,
                                   DeadlineTimer& timer, const AttentionLimits& limits,
                                   std::function<void(absl::string_view peer)> end_if_stalled)
    : shared_{engine,   metrics,    calls,  timer,
              callers_, pipelines_, limits, std::move(end_if_stalled)} {}

void AttentionService::AddTo(Routes& routes) {
  for (const AttentionMethod* method :
       {&kMultiHeadAttentionMethod, &kScaledDotProductAttentionMethod}) {
    routes[MethodPath(method->method)] = [this, method](Rpc& rpc) {
      return std::make_shared<AttentionCall>(shared_, *method, rpc);
    };
  }
  routes[MethodPath(Method::kPipeline)] = [this](Rpc& rpc) {
    return std::make_shared<PipelineCall>(shared_, rpc);
  };
}

}  // namespace attend
