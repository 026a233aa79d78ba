// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_UPLOAD_SHARE_H_
#define ATTEND_SERVER_NET_UPLOAD_SHARE_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace attend {

// The unfinished messages of one connection.
struct Upload {
  int connection = -1;  // its descriptor
  absl::string_view caller;
  int64_t bytes = 0;
};

// Returns those that have to end so that the others hold at most `max_bytes` together. Takes, until
// that is so, the connection that holds the most of the caller that holds the most. So a caller
// that holds no more than an equal share of `max_bytes` loses nothing.
std::vector<Upload> ChooseUploadsToEnd(std::vector<Upload> uploads, int64_t max_bytes);

}  // namespace attend

#endif  // ATTEND_SERVER_NET_UPLOAD_SHARE_H_
