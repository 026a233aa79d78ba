// SPDX-License-Identifier: Apache-2.0

// An answer on a pipeline's stream, as the client reads it from a server that it need not trust.
// Protobuf finds the same fields in the same bytes without the schema; an answer is one result or
// one error, and what is in an error is the target client_status's.

#include <google/protobuf/unknown_field_set.h>

#include <cstdint>
#include <string>

#include "attend/v1/attention.pb.h"
#include "client/cpp/codec.h"
#include "client/cpp/pipeline_frame.h"
#include "client/cpp/status.h"
#include "grpcpp/support/slice.h"
#include "tests/fuzz/targets/fuzz_input.h"
#include "tests/fuzz/targets/listed_refusals.h"
#include "tests/fuzz/targets/received_input.h"

namespace attend::client::internal {
namespace {

using Wire = v1::PipelineResponse;

// The last value of the id, which is of another wire type than what LengthFields finds.
uint64_t Id(const google::protobuf::Empty& message) {
  const auto& fields = message.GetReflection()->GetUnknownFields(message);
  uint64_t id = 0;
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField& field = fields.field(i);
    if (field.number() == Wire::kIdFieldNumber &&
        field.type() == google::protobuf::UnknownField::TYPE_VARINT) {
      id = field.varint();
    }
  }
  return id;
}

void CheckResult(const PipelineAnswer& answer, const std::string& expected,
                 const ResponseFields& fields) {
  Require(answer.error.ok(), "a result is no error");
  Require(answer.field == fields.in_pipeline_response, "the field of the result is protobuf's");
  const auto response = Decode(answer.body, fields);
  const grpc::Slice slice(expected);
  const auto flat = Decode(grpc::ByteBuffer(&slice, 1), fields);
  Require(response.ok() == flat.ok(), "the bytes of the result are protobuf's");
  Require(response.ok() || response.status() == flat.status(),
          "a result is refused as a response is", response.status().ToString());
}

void CheckError(const PipelineAnswer& answer, const absl::Status& expected) {
  Require(answer.error == expected, "the error is the status's", answer.error.ToString());
}

void Check(const ChunkedInput& input) {
  // No more fields than the client takes: each has two bytes or more.
  if (input.bytes().size() > 2000) return;
  const auto fields = FindFields(input.bytes());
  const auto layer = LengthFields(input.bytes(), Wire::kMultiHeadAttentionFieldNumber);
  const auto operation = LengthFields(input.bytes(), Wire::kScaledDotProductAttentionFieldNumber);
  const auto errors = LengthFields(input.bytes(), Wire::kStatusFieldNumber);
  const bool has_one = layer.size() + operation.size() + errors.size() == 1;
  absl::Status error;
  ErrorDetails details;
  const bool has_error =
      has_one && !errors.empty() && ReadErrorStatus(errors.front(), &error, &details);

  const grpc::ByteBuffer message = ToBuffer(input);
  PipelineAnswer answer;
  const bool read = ReadPipelineAnswer(message, answer);
  Require(read == (fields.has_value() && has_one && (errors.empty() || has_error)),
          "an answer is one result or one error");
  if (!read) return;
  Require(answer.id == Id(*fields), "the id is protobuf's");
  if (has_error) return CheckError(answer, error);
  if (!layer.empty()) return CheckResult(answer, layer.front(), kMultiHeadAttentionFields);
  CheckResult(answer, operation.front(), kScaledDotProductAttentionFields);
}

}  // namespace
}  // namespace attend::client::internal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  attend::client::internal::Check(attend::ChunkedInput(data, size));
  return 0;
}
