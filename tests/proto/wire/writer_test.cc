// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/writer.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

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

TEST(WireWriterTest, WritesTextAsProtobufDoes) {
  google::protobuf::StringValue proto;
  proto.set_value(std::string(300, 'x'));
  std::string bytes;
  wire_writer::AppendMessage(1, proto.value(), bytes);
  EXPECT_EQ(bytes, proto.SerializeAsString());
}

}  // namespace
}  // namespace attend
