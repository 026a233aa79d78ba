// SPDX-License-Identifier: Apache-2.0
#include "server/calls/wire_status.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/unknown_field_set.h>

#include <string>

#include "attend/v1/attention.pb.h"
#include "core/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;
using testing::HasSubstr;
using testing::Not;

// Returns the first bytes field of this number, read by protobuf's own parser.
std::string Bytes(const std::string& message, int number) {
  UnknownFieldSet fields;
  EXPECT_TRUE(fields.ParseFromString(message));
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& field = fields.field(i);
    if (field.number() == number && field.type() == UnknownField::TYPE_LENGTH_DELIMITED) {
      return field.length_delimited();
    }
  }
  return "";
}

TEST(WireStatusTest, TranslatesCodeMessageAndDetails) {
  const WireStatus wire =
      ToWireStatus(InvalidField("options.mask", "is wrong", "SHAPE_MISMATCH"), "id");
  EXPECT_EQ(wire.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(wire.status.error_message(), "options.mask: is wrong");
  EXPECT_EQ(wire.reason, "SHAPE_MISMATCH");
  EXPECT_LT(wire.retry_pushback, absl::ZeroDuration());
  EXPECT_EQ(wire.request_id, "id");

  const std::string& status = wire.status.error_details();
  EXPECT_EQ(Bytes(status, 2), wire.status.error_message());
  const std::string any = Bytes(status, 3);
  EXPECT_EQ(Bytes(any, 1), "type.googleapis.com/google.rpc.ErrorInfo");
  const std::string info = Bytes(any, 2);
  EXPECT_EQ(Bytes(info, 1), "SHAPE_MISMATCH");
  EXPECT_EQ(Bytes(info, 2), "attend");
  const std::string metadata = Bytes(info, 3);
  EXPECT_EQ(Bytes(metadata, 1), "field");
  EXPECT_EQ(Bytes(metadata, 2), "options.mask");
}

TEST(WireStatusTest, NamesAWrongFieldInABadRequest) {
  const auto details = [](const absl::Status& error) {
    v1::Status status;
    EXPECT_TRUE(status.ParseFromString(ToWireStatus(error, "id").status.error_details()));
    return status.details();
  };
  const auto wrong = details(InvalidField("options.mask", "is wrong", "SHAPE_MISMATCH"));
  ASSERT_EQ(wrong.size(), 2);
  EXPECT_EQ(wrong[1].type_url(), "type.googleapis.com/google.rpc.BadRequest");
  const std::string violation = Bytes(wrong[1].value(), 1);
  EXPECT_EQ(Bytes(violation, 1), "options.mask");
  EXPECT_EQ(Bytes(violation, 2), "is wrong");
  // Other codes have none, nor has an error that no field is to blame for.
  EXPECT_EQ(details(MakeError(absl::StatusCode::kNotFound, "UNKNOWN_LAYER", "layer", "")).size(),
            1);
  EXPECT_EQ(details(MakeError(absl::StatusCode::kInvalidArgument, "TOO_COSTLY", "", "")).size(), 1);
}

TEST(WireStatusTest, CarriesThePushback) {
  const WireStatus wire =
      ToWireStatus(Overloaded("QUEUE_FULL", "the queue is full", absl::Milliseconds(30)), "");
  EXPECT_EQ(wire.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(wire.retry_pushback, absl::Milliseconds(30));
  // The second of the details, for those who read no trailers.
  v1::Status status;
  ASSERT_TRUE(status.ParseFromString(wire.status.error_details()));
  ASSERT_EQ(status.details_size(), 2);
  EXPECT_EQ(status.details(1).type_url(), "type.googleapis.com/google.rpc.RetryInfo");
  google::protobuf::Duration delay;
  ASSERT_TRUE(delay.ParseFromString(Bytes(status.details(1).value(), 1)));
  EXPECT_EQ(delay.seconds(), 0);
  EXPECT_EQ(delay.nanos(), 30'000'000);
}

TEST(WireStatusTest, HidesWhatIsABugBehindARequestId) {
  for (const absl::Status& bug :
       {absl::InternalError("/secret/path"), absl::UnknownError("/secret/path"),
        absl::FailedPreconditionError("/secret/path"), absl::DataLossError("/secret/path")}) {
    const WireStatus wire = ToWireStatus(bug, "call-7");
    EXPECT_EQ(wire.status.error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_EQ(wire.request_id, "call-7");
    EXPECT_TRUE(wire.is_bug());
    EXPECT_THAT(wire.status.error_message(), HasSubstr(wire.request_id));
    EXPECT_THAT(wire.status.error_message(), Not(HasSubstr("secret")));
    EXPECT_THAT(wire.status.error_details(), Not(HasSubstr("secret")));
  }
}

TEST(WireStatusTest, NamesTheCodeWhereThereIsNoReason) {
  EXPECT_EQ(ToWireStatus(absl::CancelledError("gone"), "").reason, "CANCELLED");
}

TEST(WireStatusTest, LeavesOkAsItIs) {
  const WireStatus wire = ToWireStatus(absl::OkStatus(), "");
  EXPECT_TRUE(wire.status.ok());
  EXPECT_EQ(wire.reason, "");
}

}  // namespace
}  // namespace attend
