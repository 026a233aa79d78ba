// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace attend {
namespace {

std::string Copied(const WireBytes& bytes, const WireSpan& span) {
  std::string copy(span.size, '\0');
  bytes.Copy(span, copy.data());
  return copy;
}

TEST(WireBytesTest, CopiesASpanAcrossChunksOfWhichSomeAreEmpty) {
  const std::vector<absl::string_view> chunks = {"", "ab", "", {}, "cde", "f"};
  const WireBytes bytes(chunks);
  EXPECT_EQ(bytes.size(), 6u);
  EXPECT_EQ(Copied(bytes, bytes.span()), "abcdef");
  EXPECT_EQ(Copied(bytes, {1, 1, 4}), "bcde");
  EXPECT_EQ(Copied(bytes, {5, 1, 0}), "");
}

TEST(WireBytesTest, CountsSpansOfAPartFromTheChunksOfTheWhole) {
  const std::vector<absl::string_view> chunks = {"ab", "cde", "f"};
  const WireBytes part = WireBytes(chunks).Part({1, 1, 3});
  EXPECT_EQ(part.size(), 3u);
  EXPECT_EQ(Copied(part, part.span()), "def");
  EXPECT_EQ(Copied(part, {0, 0, 2}), "ab");
}

TEST(WireBytesTest, HoldsNothingWithoutChunks) {
  EXPECT_EQ(WireBytes().size(), 0u);
  EXPECT_EQ(WireBytes(absl::Span<const absl::string_view>()).size(), 0u);
}

}  // namespace
}  // namespace attend
