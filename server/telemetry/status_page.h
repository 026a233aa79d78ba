// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_STATUS_PAGE_H_
#define ATTEND_SERVER_TELEMETRY_STATUS_PAGE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace attend {

// What the page tells beside what its script reads from /metrics and /readyz.
struct StatusInfo {
  std::string version;
  std::string revision;
  std::string compiler;
  std::vector<std::vector<std::string>> layers;               // rows of kLayerColumns
  std::vector<std::pair<std::string, std::string>> settings;  // without secrets
};
inline constexpr const char* kLayerColumns[] = {"layer", "width", "heads", "kv heads", "compute"};

// The text with what HTML gives a meaning replaced, for content and for values in quotes.
std::string EscapeHtml(absl::string_view text);

// A page that needs nothing but itself, /metrics and /readyz. Each text is escaped.
std::string MakeStatusPage(const StatusInfo& info);

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_STATUS_PAGE_H_
