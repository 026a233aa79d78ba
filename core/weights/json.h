#ifndef ATTEND_CORE_WEIGHTS_JSON_H_
#define ATTEND_CORE_WEIGHTS_JSON_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace attend {

using Json = nlohmann::json;

// Nothing that we read nests deeper than a few levels.
inline constexpr int kMaxJsonDepth = 32;

// Parses the whole of `text`; the one place where the JSON library may throw.
// INVALID_ARGUMENT, prefixed with `source`, for text that is not JSON, nests
// deeper than kMaxJsonDepth, or has a key twice in one object: readers disagree
// which of the two counts.
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view source);

// A non-negative integer that fits int64, or nothing. Does not throw.
std::optional<int64_t> AsInt(const Json& value);

// `text` for an error message: quoted, escaped, cut where it is long.
std::string Quoted(absl::string_view text);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_JSON_H_
