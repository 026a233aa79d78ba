// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SERVER_CODEC_RANDOM_MESSAGES_H_
#define ATTEND_TESTS_SERVER_CODEC_RANDOM_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "attend/v1/attention.pb.h"
#include "proto/wire/bytes.h"

namespace attend {

using Random = std::mt19937_64;

inline int64_t Uniform(Random& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}
inline bool Chance(Random& random, double p) {
  return std::bernoulli_distribution(p)(random);
}

// Draws requests that the codec accepts, with every field at random: shapes and data agree, but
// need not make sense to the engine.
v1::MultiHeadAttentionRequest RandomMultiHead(Random& random);
v1::ScaledDotProductAttentionRequest RandomScaledDotProduct(Random& random);

// Divides the same bytes into random slices, some of them empty. Each slice lies in memory of
// its own size, so that AddressSanitizer sees a read past its end.
class Sliced {
 public:
  Sliced(Random& random, const std::string& bytes);
  WireBytes bytes() const { return WireBytes(chunks_); }

 private:
  std::vector<std::vector<char>> memory_;
  std::vector<absl::string_view> chunks_;
};

// Returns `bytes` with a few bytes changed, removed or doubled, or with the end cut off.
std::string Mutated(Random& random, std::string bytes);

}  // namespace attend

#endif  // ATTEND_TESTS_SERVER_CODEC_RANDOM_MESSAGES_H_
