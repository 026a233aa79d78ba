// SPDX-License-Identifier: Apache-2.0
#include "server/net/upload_share.h"

#include <algorithm>
#include <numeric>

#include "absl/container/flat_hash_map.h"

namespace attend {

std::vector<size_t> ChooseUploadsToEnd(absl::Span<const Upload> uploads, int64_t max_bytes) {
  int64_t total = 0;
  absl::flat_hash_map<absl::string_view, int64_t> held;  // bytes, by caller
  for (const Upload& upload : uploads) {
    total += upload.bytes;
    held[upload.caller] += upload.bytes;
  }
  std::vector<size_t> left(uploads.size());
  std::iota(left.begin(), left.end(), size_t{0});
  std::vector<size_t> ended;
  while (total > max_bytes) {
    const auto worst = std::max_element(left.begin(), left.end(), [&](size_t a, size_t b) {
      const int64_t held_a = held[uploads[a].caller];
      const int64_t held_b = held[uploads[b].caller];
      if (held_a != held_b) return held_a < held_b;
      return uploads[a].bytes < uploads[b].bytes;
    });
    const Upload& upload = uploads[*worst];
    total -= upload.bytes;
    held[upload.caller] -= upload.bytes;
    ended.push_back(*worst);
    left.erase(worst);
  }
  return ended;
}

}  // namespace attend
