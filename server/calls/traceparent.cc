// SPDX-License-Identifier: Apache-2.0
#include "server/calls/traceparent.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace attend {
namespace {

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(absl::string_view text) {
  return text.find_first_not_of('0') == absl::string_view::npos;
}

}  // namespace

// "00-" trace id of 32 digits "-" parent id of 16 "-" flags of 2
bool IsTraceparent(absl::string_view text) {
  constexpr size_t kSize = 55;
  if (text.size() != kSize || text.substr(0, 3) != "00-" || text[35] != '-' || text[52] != '-') {
    return false;
  }
  const absl::string_view trace = text.substr(3, 32), parent = text.substr(36, 16);
  return IsLowerHex(trace) && !IsZero(trace) && IsLowerHex(parent) && !IsZero(parent) &&
         IsLowerHex(text.substr(53));
}

absl::string_view ReadTraceparent(const grpc::ServerContextBase& context) {
  const auto [first, last] = context.client_metadata().equal_range("traceparent");
  if (first == last || std::next(first) != last) return {};
  const absl::string_view value(first->second.data(), first->second.size());
  return IsTraceparent(value) ? value : absl::string_view();
}

}  // namespace attend
