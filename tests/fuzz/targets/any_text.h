// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_FUZZ_TARGETS_ANY_TEXT_H_
#define ATTEND_TESTS_FUZZ_TARGETS_ANY_TEXT_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>

#include <memory>
#include <string>

#include "tests/fuzz/targets/fuzz_input.h"

namespace attend {

// Reads messages of type Proto as protobuf does, except that text need not be UTF-8: in a copy of
// the schema every string is of type bytes, which is the same on the wire.
template <typename Proto>
class AnyTextParser {
 public:
  AnyTextParser() {
    Add(*Proto::descriptor()->file());
    type_ = pool_.FindMessageTypeByName(Proto::descriptor()->full_name());
  }

  // Returns the message, or nullptr where protobuf refuses the bytes.
  std::unique_ptr<google::protobuf::Message> Parse(const std::string& bytes) {
    std::unique_ptr<google::protobuf::Message> message(factory_.GetPrototype(type_)->New());
    return message->ParseFromString(bytes) ? std::move(message) : nullptr;
  }

 private:
  void Add(const google::protobuf::FileDescriptor& file) {
    if (pool_.FindFileByName(file.name()) != nullptr) return;
    for (int i = 0; i < file.dependency_count(); ++i) Add(*file.dependency(i));
    google::protobuf::FileDescriptorProto schema;
    file.CopyTo(&schema);
    for (auto& message : *schema.mutable_message_type()) TurnStringsToBytes(message);
    Require(pool_.BuildFile(schema) != nullptr, "the copy of a schema is valid");
  }

  static void TurnStringsToBytes(google::protobuf::DescriptorProto& message) {
    using Field = google::protobuf::FieldDescriptorProto;
    for (Field& field : *message.mutable_field()) {
      if (field.type() == Field::TYPE_STRING) field.set_type(Field::TYPE_BYTES);
    }
    // The keys of maps must stay strings.
    for (auto& nested : *message.mutable_nested_type()) {
      if (!nested.options().map_entry()) TurnStringsToBytes(nested);
    }
  }

  google::protobuf::DescriptorPool pool_;
  google::protobuf::DynamicMessageFactory factory_;
  const google::protobuf::Descriptor* type_ = nullptr;
};

}  // namespace attend

#endif  // ATTEND_TESTS_FUZZ_TARGETS_ANY_TEXT_H_
