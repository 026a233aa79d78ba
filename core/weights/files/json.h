// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_FILES_JSON_H_
#define ATTEND_CORE_WEIGHTS_FILES_JSON_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace attend {

using Json = nlohmann::json;

// Files of models nest a few levels deep; the limit bounds the parser's recursion.
inline constexpr int kMaxJsonDepth = 32;

// Parses the whole of `text`. The JSON library may throw here and nowhere else.
// INVALID_ARGUMENT, prefixed with `source`, if the text is not JSON, nests deeper than
// kMaxJsonDepth, or has a key twice in one object, because readers disagree about which of
// the two values counts.
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view source);

// The value if it is a non-negative integer that fits int64, otherwise nothing. 1.0 and 1e3
// are not integers. Does not throw.
std::optional<int64_t> AsInt(const Json& value);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_FILES_JSON_H_
