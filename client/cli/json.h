// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_JSON_H_
#define ATTEND_CLIENT_CLI_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

namespace attend::cli {

// A message as JSON for scripts: protobuf's own mapping, with names as in the .proto file and with
// int64 as numbers, where protobuf has strings. Fields without a value are there with their
// default, unless they are optional. DATA_LOSS where the message holds what has no mapping, such as
// a Timestamp after the year 9999.
absl::StatusOr<nlohmann::ordered_json> ToJson(const google::protobuf::Message& message);

// A number, or, as in protobuf's mapping, the string "NaN", "Infinity" or "-Infinity". A float has
// the digits of a float, 0.1 and not 0.10000000149011612.
nlohmann::ordered_json NumberToJson(float value);

// Indented, and in ASCII alone, so that a terminal may show it. Bytes that are not UTF-8 become
// U+FFFD. Ends with a newline.
std::string FormatJson(const nlohmann::ordered_json& json);

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_JSON_H_
