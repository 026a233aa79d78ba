// SPDX-License-Identifier: Apache-2.0
#include "core/base/arena.h"

#include <cstdint>
#include <cstring>

#include "gtest/gtest.h"

namespace attend {
namespace {

bool IsOnACacheLine(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % 64 == 0;
}

TEST(Arena, HandsOutPiecesOnCacheLinesThatDoNotOverlap) {
  Arena arena;
  ArenaFrame frame(arena);
  float* const floats = frame.Take<float>(3);
  std::byte* const bytes = frame.Take<std::byte>(65);
  double* const doubles = frame.Take<double>(100000);
  EXPECT_TRUE(IsOnACacheLine(floats) && IsOnACacheLine(bytes) && IsOnACacheLine(doubles));
  std::memset(static_cast<void*>(floats), 1, 3 * sizeof(float));
  std::memset(bytes, 2, 65);
  std::memset(static_cast<void*>(doubles), 3, 100000 * sizeof(double));
  uint32_t last;
  std::memcpy(&last, floats + 2, sizeof(last));
  EXPECT_EQ(last, 0x01010101u);
  EXPECT_EQ(bytes[64], std::byte{2});
}

TEST(Arena, GivesAFramesMemoryToTheNextFrame) {
  Arena arena;
  std::byte* first = nullptr;
  {
    ArenaFrame frame(arena);
    first = frame.Take<std::byte>(1000);
  }
  ArenaFrame frame(arena);
  EXPECT_EQ(frame.Take<std::byte>(1000), first);
}

TEST(Arena, KeepsAnOuterFramesPiecesWhenAnInnerFrameCloses) {
  Arena arena;
  ArenaFrame outer(arena);
  std::byte* const kept = outer.Take<std::byte>(100);
  std::memset(kept, 7, 100);
  std::byte* inner_piece = nullptr;
  for (int i = 0; i < 3; ++i) {
    ArenaFrame inner(arena);
    std::byte* const piece = inner.Take<std::byte>(100000);
    if (i > 0) {
      EXPECT_EQ(piece, inner_piece) << "an inner frame of the same size needs no new block";
    }
    inner_piece = piece;
    std::memset(piece, 8, 100000);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(kept[i], std::byte{7});
  EXPECT_NE(outer.Take<std::byte>(64), kept);
}

TEST(Arena, ServesFromOneBlockWhatTheFrameBeforeTookFromSeveral) {
  Arena arena;
  for (int round = 0; round < 3; ++round) {
    ArenaFrame frame(arena);
    std::byte* const first = frame.Take<std::byte>(10000);
    std::byte* const second = frame.Take<std::byte>(20000);
    if (round > 0) {
      EXPECT_EQ(second, first + 10048);
    }
  }
  EXPECT_EQ(arena.held_bytes(), 10048u + 20032u);
}

TEST(Arena, FreesASmallBlockBeforeItTakesALargerOne) {
  Arena arena;
  { ArenaFrame(arena).Take<std::byte>(10000); }
  { ArenaFrame(arena).Take<std::byte>(50000); }
  EXPECT_EQ(arena.held_bytes(), 50048u);
}

TEST(Arena, TrimsWhatIsAboveTheBoundOnly) {
  Arena arena;
  { ArenaFrame(arena).Take<std::byte>(10000); }
  arena.Trim(10048);
  EXPECT_EQ(arena.held_bytes(), 10048u);
  arena.Trim(10047);
  EXPECT_EQ(arena.held_bytes(), 0u);
  ArenaFrame frame(arena);
  std::memset(frame.Take<std::byte>(100), 1, 100);
}

TEST(Arena, TakesNothingForNoElements) {
  Arena arena;
  ArenaFrame frame(arena);
  EXPECT_TRUE(frame.TakeSpan<float>(0).empty());
}

}  // namespace
}  // namespace attend
