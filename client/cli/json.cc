// SPDX-License-Identifier: Apache-2.0
#include "client/cli/json.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <iterator>

#include "absl/strings/numbers.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"

namespace attend::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using nlohmann::ordered_json;

void UseNumbers(const Descriptor& type, ordered_json* json);

// One value of the field.
void UseNumber(const FieldDescriptor& field, ordered_json* value) {
  int64_t number = 0;
  uint64_t unsigned_number = 0;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    UseNumbers(*field.message_type(), value);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT64 && value->is_string() &&
             absl::SimpleAtoi(value->get_ref<const std::string&>(), &number)) {
    *value = number;
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64 && value->is_string() &&
             absl::SimpleAtoi(value->get_ref<const std::string&>(), &unsigned_number)) {
    *value = unsigned_number;
  }
}

// Makes numbers of the int64 in a message of this type, in place.
void UseNumbers(const Descriptor& type, ordered_json* json) {
  if (!json->is_object()) return;  // a well-known type with a mapping of its own
  for (auto& [name, value] : json->items()) {
    const FieldDescriptor* field = type.FindFieldByName(name);
    if (field == nullptr) continue;
    if (!value.is_array()) {
      UseNumber(*field, &value);
      continue;
    }
    for (ordered_json& each : value) UseNumber(*field, &each);
  }
}

}  // namespace

absl::StatusOr<ordered_json> ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) {
    return absl::DataLossError("the server's answer has no form in JSON");
  }
  ordered_json json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::DataLossError("the server's answer has no form in JSON");
  UseNumbers(*message.GetDescriptor(), &json);
  return json;
}

ordered_json NumberToJson(float value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  // The double of the fewest digits that name the float.
  char digits[32];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), value).ptr;
  double number = 0;
  std::from_chars(digits, end, number);
  return number;
}

std::string FormatJson(const ordered_json& json) {
  return json.dump(2, ' ', /*ensure_ascii=*/true, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace attend::cli
