// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_METHOD_H_
#define ATTEND_SERVER_TELEMETRY_METHOD_H_

#include <array>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attend {

// The calls that are counted: every method of attend.v1.
enum class Method {
  kMultiHeadAttention,
  kScaledDotProductAttention,
  kListLayers,
  kGetLayer,
  kGetServerInfo,
  kPipeline,
};

struct MethodName {
  absl::string_view service;
  absl::string_view method;
  absl::string_view grpc_type = "unary";
};

// Indexed by Method.
inline constexpr std::array<MethodName, 6> kMethods = {{
    {"attend.v1.AttentionService", "MultiHeadAttention"},
    {"attend.v1.AttentionService", "ScaledDotProductAttention"},
    {"attend.v1.LayerService", "ListLayers"},
    {"attend.v1.LayerService", "GetLayer"},
    {"attend.v1.ServerService", "GetServerInfo"},
    {"attend.v1.AttentionService", "Pipeline", "bidi_stream"},
}};

inline constexpr size_t Index(Method method) {
  return static_cast<size_t>(method);
}

// "/package.Service/Method", as HTTP/2 names it.
inline std::string MethodPath(Method method) {
  const MethodName& name = kMethods[Index(method)];
  return absl::StrCat("/", name.service, "/", name.method);
}

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_METHOD_H_
