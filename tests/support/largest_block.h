// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SUPPORT_LARGEST_BLOCK_H_
#define ATTEND_TESTS_SUPPORT_LARGEST_BLOCK_H_

#include <atomic>
#include <cstddef>
#include <limits>

namespace attend {

inline constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

// A program that is built with largest_block.cc has an aligned operator new, from which
// AlignedBuffer takes tensors and working memory, that refuses blocks above this many bytes.
extern std::atomic<size_t> largest_block;

}  // namespace attend

#endif  // ATTEND_TESTS_SUPPORT_LARGEST_BLOCK_H_
