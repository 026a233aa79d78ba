// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_FUZZ_TARGETS_LISTED_REFUSALS_H_
#define ATTEND_TESTS_FUZZ_TARGETS_LISTED_REFUSALS_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "attend/v1/attention.pb.h"
#include "attend/v1/tensor.pb.h"

namespace attend {

// All that our decoders refuse although protobuf's generated classes parse it. A fuzz target
// requires that a refusal is one of these; so a decoder that refuses more than it says is found.
// Inputs of libFuzzer are too short for a bound on all fields of a message to matter.

// Whether the data are of exactly the size of a shape, the type is known, no size is negative, and
// the product of the sizes other than 0 fits 64 bits with a sign.
inline bool IsWhole(const v1::Tensor& tensor) {
  if (tensor.data_type() < v1::DATA_TYPE_FLOAT32 || tensor.data_type() > v1::DATA_TYPE_BOOL) {
    return false;
  }
  const bool is_float = tensor.data_type() == v1::DATA_TYPE_FLOAT32;
  unsigned __int128 bytes = tensor.data_type() == v1::DATA_TYPE_BOOL ? 1 : is_float ? 4 : 2;
  bool is_empty = false;
  for (const int64_t size : tensor.shape()) {
    if (size < 0) return false;
    if (size == 0) {
      is_empty = true;
    } else {
      bytes *= static_cast<uint64_t>(size);
      if (bytes > INT64_MAX) return false;
    }
  }
  return (is_empty ? 0 : bytes) == tensor.data().size();
}

// The fields of a message as protobuf finds them without its schema, which are unknown to an empty
// message; absent where it refuses them.
inline std::optional<google::protobuf::Empty> FindFields(const std::string& bytes) {
  google::protobuf::Empty message;
  if (!message.ParseFromString(bytes)) return std::nullopt;
  return message;
}

// The values of a field of bytes, text or messages, of which protobuf keeps the last or merges all.
inline std::vector<std::string> LengthFields(const std::string& bytes, int number) {
  std::vector<std::string> values;
  const auto message = FindFields(bytes);
  if (!message.has_value()) return values;
  const auto& fields = message->GetReflection()->GetUnknownFields(*message);
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField& field = fields.field(i);
    if (field.number() == number &&
        field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
      values.push_back(field.length_delimited());
    }
  }
  return values;
}

// Whether a field holds a longer text, even one that another replaces.
inline bool HasLongText(const std::string& bytes, int number, size_t most) {
  for (const std::string& text : LengthFields(bytes, number)) {
    if (text.size() > most) return true;
  }
  return false;
}

// Whether a known field of `message` came with another wire type than its own, which protobuf
// keeps as an unknown field.
inline bool HasFieldOfOtherType(const google::protobuf::Message& message) {
  const auto& unknown = message.GetReflection()->GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i) {
    const int number = unknown.field(i).number();
    if (message.GetDescriptor()->FindFieldByNumber(number) != nullptr) return true;
  }
  return false;
}

// The longest lists and texts in a message.
constexpr int kListedRank = 8;
constexpr size_t kListedNameBytes = 256;
constexpr size_t kListedHashBytes = 64;

// Whether a request, or a message in it, breaks a rule of the server's beyond protobuf's.
inline bool BreaksARule(const google::protobuf::Message& message, int max_list,
                        bool in_options = false) {
  using google::protobuf::FieldDescriptor;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const auto* tensor = dynamic_cast<const v1::Tensor*>(&message);
  in_options = in_options || dynamic_cast<const v1::AttentionOptions*>(&message) != nullptr;
  if (tensor != nullptr && !IsWhole(*tensor)) return true;
  if (in_options && !reflection.GetUnknownFields(message).empty()) return true;
  if (HasFieldOfOtherType(message)) return true;

  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) {
      const int most = tensor != nullptr ? kListedRank : max_list;
      if (reflection.FieldSize(message, field) > most) return true;
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      const int value = reflection.GetEnumValue(message, field);
      if (field->enum_type()->FindValueByNumber(value) == nullptr) return true;
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (BreaksARule(reflection.GetMessage(message, field), max_list, in_options)) return true;
    }
  }
  return false;
}

// Whether the server may refuse a request that protobuf has parsed. `max_list` bounds every list
// but a tensor's shape.
inline bool IsListedRefusal(const v1::MultiHeadAttentionRequest& request, const std::string& bytes,
                            int max_list) {
  return !request.has_query() || BreaksARule(request, max_list) ||
         HasLongText(bytes, v1::MultiHeadAttentionRequest::kLayerFieldNumber, kListedNameBytes);
}

inline bool IsListedRefusal(const v1::ScaledDotProductAttentionRequest& request,
                            const std::string& /*bytes*/, int max_list) {
  return !request.has_query() || !request.has_key() || !request.has_value() ||
         BreaksARule(request, max_list);
}

// Whether the client may refuse a response that protobuf has parsed.
template <typename Response>
bool IsListedRefusal(const Response& response, const std::string& bytes) {
  const auto is_fine = [](bool present, const v1::Tensor& tensor) {
    return !present || (IsWhole(tensor) && tensor.shape_size() <= kListedRank);
  };
  return !response.has_output() || !is_fine(true, response.output()) ||
         !is_fine(response.has_weights(), response.weights()) ||
         !is_fine(response.has_log_sum_exp(), response.log_sum_exp()) ||
         (std::is_same_v<Response, v1::MultiHeadAttentionResponse> &&
          HasLongText(bytes, v1::MultiHeadAttentionResponse::kLayerSha256FieldNumber,
                      kListedHashBytes));
}

}  // namespace attend

#endif  // ATTEND_TESTS_FUZZ_TARGETS_LISTED_REFUSALS_H_
