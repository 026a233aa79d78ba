// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/received_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/wire/reader.h"
#include "tests/support/allocation_count.h"
#include "tests/support/byte_buffers.h"

namespace attend {
namespace {

TEST(ReceivedBytesTest, SeesTheBytesOfEverySliceInOrder) {
  std::string sent;
  for (int i = 0; i < 1000; ++i) sent += static_cast<char>(i);
  // gRPC keeps up to 23 bytes in the slice itself and more behind a pointer.
  for (const size_t slice_bytes : {1, 23, 24, 999, 1000}) {
    const grpc::ByteBuffer buffer = Split(sent, slice_bytes);
    const std::optional<WireBytes> bytes = ReceivedBytes(buffer);
    ASSERT_TRUE(bytes.has_value());
    std::string received(bytes->size(), '\0');
    bytes->Copy(bytes->span(), received.data());
    EXPECT_EQ(received, sent) << slice_bytes;
  }
}

// A caller who sent 256 MiB in frames of 24 bytes had the server make lists of 11 million slices,
// half a gigabyte that nobody had charged.
TEST(ReceivedBytesTest, ReadsAMessageInManySlicesWithoutAnAllocation) {
  constexpr size_t kSize = 1 << 20;
  const std::string sent = std::string("\x0a\xfb\xff\x3f", 4) + std::string(kSize - 5, 'x');
  const grpc::ByteBuffer buffer = Split(sent, 1);
  const size_t before = AllocationCount();
  const std::optional<WireBytes> bytes = ReceivedBytes(buffer);
  ASSERT_TRUE(bytes.has_value());
  WireReader wire(*bytes, 1);
  WireTag tag;
  WireSpan span;
  const bool read = wire.ReadTag(tag) && wire.ReadSpan(span);
  EXPECT_EQ(AllocationCount() - before, 0u);
  EXPECT_TRUE(read);
  EXPECT_EQ(span.size, kSize - 5);
}

TEST(ReceivedBytesTest, HoldsNothingOfABufferWithoutAMessage) {
  EXPECT_FALSE(ReceivedBytes(grpc::ByteBuffer()).has_value());
  const grpc::Slice empty;
  const std::optional<WireBytes> bytes = ReceivedBytes(grpc::ByteBuffer(&empty, 1));
  ASSERT_TRUE(bytes.has_value());
  EXPECT_EQ(bytes->size(), 0u);
}

}  // namespace
}  // namespace attend
