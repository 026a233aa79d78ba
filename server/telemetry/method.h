// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_METHOD_H_
#define ATTEND_SERVER_TELEMETRY_METHOD_H_

#include <array>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attend {

// The calls that are counted: every method of attend.v1; and calls of health, of reflection and of
// any other path only if they are refused before a service sees them.
enum class Method {
  kMultiHeadAttention,
  kScaledDotProductAttention,
  kListLayers,
  kGetLayer,
  kGetServerInfo,
  kPipeline,
  kHealthCheck,
  kHealthWatch,
  kReflection,
  kReflectionV1Alpha,
  kUnknown,
};

struct MethodName {
  absl::string_view service;
  absl::string_view method;
  absl::string_view grpc_type = "unary";
};

// Indexed by Method, but for kUnknown.
inline constexpr std::array<MethodName, 10> kMethods = {{
    {"attend.v1.AttentionService", "MultiHeadAttention"},
    {"attend.v1.AttentionService", "ScaledDotProductAttention"},
    {"attend.v1.LayerService", "ListLayers"},
    {"attend.v1.LayerService", "GetLayer"},
    {"attend.v1.ServerService", "GetServerInfo"},
    {"attend.v1.AttentionService", "Pipeline", "bidi_stream"},
    {"grpc.health.v1.Health", "Check"},
    {"grpc.health.v1.Health", "Watch", "server_stream"},
    {"grpc.reflection.v1.ServerReflection", "ServerReflectionInfo", "bidi_stream"},
    {"grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo", "bidi_stream"},
}};

inline constexpr size_t Index(Method method) {
  return static_cast<size_t>(method);
}

inline constexpr MethodName kUnknownMethod = {"unknown", "unknown", "unknown"};

inline constexpr const MethodName& NameOf(Method method) {
  return method == Method::kUnknown ? kUnknownMethod : kMethods[Index(method)];
}

// "/package.Service/Method", as HTTP/2 names it. Not of kUnknown.
inline std::string MethodPath(Method method) {
  const MethodName& name = kMethods[Index(method)];
  return absl::StrCat("/", name.service, "/", name.method);
}

// kUnknown for any other path.
inline Method FindMethod(absl::string_view path) {
  for (size_t i = 0; i < kMethods.size(); ++i) {
    if (path == MethodPath(static_cast<Method>(i))) return static_cast<Method>(i);
  }
  return Method::kUnknown;
}

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_METHOD_H_
