// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/reader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace attend {
namespace {

constexpr size_t kMaxFields = 100;

// Bytes in chunks of one, each in memory of its own, so that AddressSanitizer sees every step
// beyond them.
class Bytewise {
 public:
  explicit Bytewise(const std::string& bytes) {
    for (const char byte : bytes) memory_.emplace_back(1, byte);
    for (const std::vector<char>& byte : memory_) chunks_.emplace_back(byte.data(), 1);
  }
  WireBytes bytes() const { return WireBytes(chunks_); }

 private:
  std::vector<std::vector<char>> memory_;
  std::vector<absl::string_view> chunks_;
};

// The bytes that protobuf's own stream writes.
template <typename Write>
std::string Written(Write write) {
  std::string bytes;
  google::protobuf::io::StringOutputStream out(&bytes);
  {
    google::protobuf::io::CodedOutputStream stream(&out);
    write(stream);
  }
  return bytes;
}

TEST(WireReaderTest, ReadsTheNumbersThatProtobufWrites) {
  for (const uint64_t value :
       {uint64_t{0}, uint64_t{1}, uint64_t{127}, uint64_t{128}, uint64_t{300}, uint64_t{1} << 35,
        uint64_t{1} << 63, std::numeric_limits<uint64_t>::max()}) {
    const Bytewise bytes(Written([&](auto& stream) {
      stream.WriteVarint64(value);
      stream.WriteVarint64(value);
      stream.WriteLittleEndian32(static_cast<uint32_t>(value));
    }));
    WireReader wire(bytes.bytes(), kMaxFields);
    uint64_t varint = 0;
    int64_t number = 0;
    uint32_t fixed = 0;
    ASSERT_TRUE(wire.ReadVarint(varint) && wire.ReadInt64(number) && wire.ReadFixed32(fixed));
    EXPECT_EQ(varint, value);
    EXPECT_EQ(number, static_cast<int64_t>(value));
    EXPECT_EQ(fixed, static_cast<uint32_t>(value));
    EXPECT_EQ(wire.remaining(), 0u);
    EXPECT_FALSE(wire.ReadVarint(varint));
    EXPECT_FALSE(wire.ReadFixed32(fixed));
  }
}

TEST(WireReaderTest, RefusesAVarintOfElevenBytesAndATagOfSix) {
  const Bytewise eleven(absl::StrCat(std::string(10, '\x80'), "\1"));
  uint64_t value = 0;
  EXPECT_FALSE(WireReader(eleven.bytes(), kMaxFields).ReadVarint(value));
  const Bytewise six(std::string("\x88\x80\x80\x80\x80\0", 6));
  WireTag tag;
  EXPECT_FALSE(WireReader(six.bytes(), kMaxFields).ReadTag(tag));
}

TEST(WireReaderTest, RefusesFieldZeroAndWireTypesThatDoNotExist) {
  for (const char byte : {'\x00', '\x02', '\x0e', '\x0f'}) {
    const Bytewise bytes(std::string(1, byte));
    WireTag tag;
    EXPECT_FALSE(WireReader(bytes.bytes(), kMaxFields).ReadTag(tag)) << int{byte};
  }
}

TEST(WireReaderTest, RefusesALengthBeyondTheLimitAndNotBeyondTheBytesAlone) {
  const Bytewise bytes("\3abcd");
  size_t size = 0;
  WireReader whole(bytes.bytes(), kMaxFields);
  EXPECT_TRUE(whole.ReadLength(size));
  EXPECT_EQ(size, 3u);
  WireReader limited(bytes.bytes(), kMaxFields);
  const size_t old = limited.PushLimit(3);
  EXPECT_FALSE(limited.ReadLength(size));
  limited.PopLimit(old);
  EXPECT_EQ(limited.remaining(), 4u);
}

TEST(WireReaderTest, SaysWhereASpanLies) {
  const Bytewise bytes("\3abcd");
  WireReader wire(bytes.bytes(), kMaxFields);
  WireSpan span;
  ASSERT_TRUE(wire.ReadSpan(span));
  std::string copy(span.size, '\0');
  wire.Copy(span, copy.data());
  EXPECT_EQ(copy, "abc");
  EXPECT_EQ(wire.position(), 4u);
}

// A request of a pipeline lies in the middle of a message.
TEST(WireReaderTest, ReadsAPartAndNothingBehindIt) {
  const Bytewise bytes("xx\3abcyy");
  WireReader wire(bytes.bytes().Part({2, 0, 4}), kMaxFields);
  EXPECT_EQ(wire.remaining(), 4u);
  WireSpan span;
  ASSERT_TRUE(wire.ReadSpan(span));
  EXPECT_EQ(wire.remaining(), 0u);
  uint64_t value = 0;
  EXPECT_FALSE(wire.ReadVarint(value));
}

TEST(WireReaderTest, CountsTheFieldsInGroups) {
  const std::string group = "\x0b\x10\1\x10\1\x0c";
  const Bytewise bytes(absl::StrCat(group, group));
  for (const size_t max_fields : {8, 7}) {
    WireReader wire(bytes.bytes(), max_fields);
    WireTag tag;
    ASSERT_TRUE(wire.ReadTag(tag) && wire.SkipField(tag) && wire.ReadTag(tag));
    EXPECT_EQ(wire.SkipField(tag), max_fields == 8);
    EXPECT_EQ(wire.has_too_many_fields(), max_fields == 7);
  }
}

}  // namespace
}  // namespace attend
