// SPDX-License-Identifier: Apache-2.0
#include "core/weights/files/json.h"

#include <limits>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/quoted.h"

namespace attend {
namespace {

// Thrown by the parser's callback and caught in ParseJson.
struct Refused {
  std::string why;
};

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view source) {
  std::vector<std::set<std::string>> keys;  // per open object
  const auto watch = [&keys](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth >= kMaxJsonDepth)
      throw Refused{absl::StrCat("the text nests deeper than ", kMaxJsonDepth, " levels")};
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) {
        throw Refused{absl::StrCat("key ", Quoted(key), " is given twice")};
      }
    }
    return true;
  };
  // The library would take a zero byte for the end of its input.
  if (text.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": not JSON: the text holds a zero byte"));
  }
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const Refused& refused) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": ", refused.why));
  } catch (const Json::exception& error) {
    // The library's message may quote the input.
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": not JSON: ", absl::CHexEscape(error.what()).substr(0, 200)));
  }
}

std::optional<int64_t> AsInt(const Json& value) {
  // The library parses integers without a sign as unsigned numbers.
  const auto* number = value.get_ptr<const Json::number_unsigned_t*>();
  if (number == nullptr || *number > uint64_t{std::numeric_limits<int64_t>::max()}) {
    return std::nullopt;
  }
  return static_cast<int64_t>(*number);
}

}  // namespace attend
