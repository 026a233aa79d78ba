// SPDX-License-Identifier: Apache-2.0
#include "server/net/upload_share.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace attend {

std::vector<Upload> ChooseUploadsToEnd(std::vector<Upload> uploads, int64_t max_bytes) {
  int64_t total = 0;
  absl::flat_hash_map<absl::string_view, int64_t> held;  // bytes, by caller
  for (const Upload& upload : uploads) {
    total += upload.bytes;
    held[upload.caller] += upload.bytes;
  }
  std::vector<Upload> ended;
  while (total > max_bytes) {
    const auto worst =
        std::max_element(uploads.begin(), uploads.end(), [&](const Upload& a, const Upload& b) {
          const int64_t held_a = held[a.caller];
          const int64_t held_b = held[b.caller];
          if (held_a != held_b) return held_a < held_b;
          return a.bytes < b.bytes;
        });
    total -= worst->bytes;
    held[worst->caller] -= worst->bytes;
    ended.push_back(*worst);
    uploads.erase(worst);
  }
  return ended;
}

}  // namespace attend
