// SPDX-License-Identifier: Apache-2.0

// The details of an error and a health answer, as the client reads them from a server that it need
// not trust. Protobuf's own classes must read the same from the same bytes. No input is so long
// that a bound of the client's on texts or fields matters.

#include <limits>
#include <optional>
#include <string>

#include "attend/v1/attention.pb.h"
#include "client/cpp/codec.h"
#include "client/cpp/status.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/support/slice.h"
#include "targets/error_details.pb.h"
#include "tests/fuzz/targets/any_text.h"
#include "tests/fuzz/targets/fuzz_input.h"

namespace attend::client {
namespace {

constexpr char kErrorInfo[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kRetryInfo[] = "type.googleapis.com/google.rpc.RetryInfo";

// What protobuf reads: the first ErrorInfo that has a reason, or else the last, and the last
// RetryInfo. A detail that protobuf does not parse is left out.
ErrorDetails ProtobufDetails(const v1::Status& status) {
  ErrorDetails details;
  for (const google::protobuf::Any& any : status.details()) {
    fuzz::ErrorInfo info;
    fuzz::RetryInfo retry;
    if (any.type_url() == kErrorInfo && details.reason.empty() &&
        info.ParseFromString(any.value())) {
      details.reason = info.reason();
      details.domain = info.domain();
      details.field.clear();
      for (const auto& entry : info.metadata()) {
        if (entry.key() == "field") details.field = entry.value();
      }
    } else if (any.type_url() == kRetryInfo && retry.ParseFromString(any.value())) {
      details.pushback = absl::Seconds(retry.retry_delay().seconds()) +
                         absl::Nanoseconds(retry.retry_delay().nanos());
    }
  }
  return details;
}

// Whether protobuf parses an ErrorInfo among the details only where text need not be UTF-8: it
// then leaves out what the client hands on.
bool HasOtherText(const v1::Status& status) {
  static auto& parser = *new AnyTextParser<fuzz::ErrorInfo>;
  for (const google::protobuf::Any& any : status.details()) {
    if (any.type_url() != kErrorInfo || fuzz::ErrorInfo().ParseFromString(any.value())) continue;
    if (parser.Parse(any.value()) != nullptr) return true;
  }
  return false;
}

void CheckStatus(const std::string& bytes) {
  absl::Status error;
  ErrorDetails details;
  const bool read = internal::ReadErrorStatus(bytes, &error, &details);
  ErrorDetails info;
  internal::ReadErrorInfo(bytes, &info);

  static auto& parser = *new AnyTextParser<v1::Status>;
  const bool parsed = parser.Parse(bytes) != nullptr;
  Require(parsed || !read, "protobuf parses a status that the client reads");
  Require(parsed || (info.reason.empty() && info.domain.empty() && info.field.empty()),
          "nothing is read from what protobuf refuses");
  v1::Status proto;
  if (!proto.ParseFromString(bytes)) return;

  Require(read == (proto.code() != 0), "a status with a code is read", proto.DebugString());
  if (read) {
    const bool known = proto.code() > 0 && proto.code() <= 16;
    Require(error.raw_code() == (known ? proto.code() : 2), "the code is protobuf's",
            proto.DebugString());
    Require(error.message() == proto.message(), "the message is protobuf's", proto.DebugString());
  }
  if (HasOtherText(proto)) return;
  const ErrorDetails expected = ProtobufDetails(proto);
  Require(info.reason == expected.reason && info.domain == expected.domain &&
              info.field == expected.field,
          "the ErrorInfo is protobuf's", proto.DebugString());
  if (!read) return;
  Require(details.reason == expected.reason && details.domain == expected.domain &&
              details.field == expected.field,
          "the ErrorInfo of an item is protobuf's", proto.DebugString());
  Require(details.pushback == expected.pushback, "the RetryInfo is protobuf's",
          proto.DebugString());
}

void CheckHealth(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  const auto health = internal::DecodeHealth(grpc::ByteBuffer(&slice, 1));
  grpc::health::v1::HealthCheckResponse proto;
  const bool parsed = proto.ParseFromString(bytes);
  Require(health.ok() == parsed, "a health answer is read where protobuf parses it");
  if (!parsed) {
    Require(absl::IsDataLoss(health.status()), "bytes that are no health answer are DATA_LOSS");
    return;
  }
  const int status = grpc::health::v1::HealthCheckResponse::ServingStatus_IsValid(proto.status())
                         ? proto.status()
                         : grpc::health::v1::HealthCheckResponse::UNKNOWN;
  Require(static_cast<int>(*health) == status, "the health is protobuf's", proto.DebugString());
}

}  // namespace
}  // namespace attend::client

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size > 4096) return 0;
  attend::client::CheckStatus(bytes);
  attend::client::CheckHealth(bytes);
  return 0;
}
