// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/writer.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "google/protobuf/unknown_field_set.h"
#include "google/protobuf/wrappers.pb.h"

namespace attend {
namespace {

TEST(WireWriterTest, WritesNumbersAsProtobufDoes) {
  for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{127}, uint64_t{128},
                               uint64_t{1} << 35, std::numeric_limits<uint64_t>::max()}) {
    google::protobuf::UInt64Value proto;
    proto.set_value(value);
    std::string bytes;
    wire_writer::AppendVarintField(1, value, bytes);
    EXPECT_EQ(bytes, proto.SerializeAsString());
    std::string varint;
    wire_writer::AppendVarint(value, varint);
    EXPECT_EQ(wire_writer::VarintSize(value), varint.size());
  }
}

TEST(WireWriterTest, WritesNumbersOfFixedSizeAsProtobufDoes) {
  for (const uint64_t value :
       {uint64_t{0}, uint64_t{0x0123456789abcdef}, std::numeric_limits<uint64_t>::max()}) {
    std::string bytes;
    wire_writer::AppendTag(7, WireType::kFixed64, bytes);
    wire_writer::AppendFixed64(value, bytes);
    wire_writer::AppendTag(16, WireType::kFixed32, bytes);
    wire_writer::AppendFixed32(static_cast<uint32_t>(value), bytes);
    google::protobuf::UnknownFieldSet fields;
    ASSERT_TRUE(fields.ParseFromString(bytes));
    ASSERT_EQ(fields.field_count(), 2);
    EXPECT_EQ(fields.field(0).fixed64(), value);
    EXPECT_EQ(fields.field(1).fixed32(), static_cast<uint32_t>(value));
  }
  for (const double value : {1.5, -0.1, std::numeric_limits<double>::infinity()}) {
    google::protobuf::DoubleValue proto;
    proto.set_value(value);
    std::string bytes;
    wire_writer::AppendTag(1, WireType::kFixed64, bytes);
    wire_writer::AppendDouble(value, bytes);
    EXPECT_EQ(bytes, proto.SerializeAsString());
  }
}

TEST(WireWriterTest, WritesTextAsProtobufDoes) {
  google::protobuf::StringValue proto;
  proto.set_value(std::string(300, 'x'));
  std::string bytes;
  wire_writer::AppendMessage(1, proto.value(), bytes);
  EXPECT_EQ(bytes, proto.SerializeAsString());
}

}  // namespace
}  // namespace attend
