// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_PORT_FILE_H_
#define ATTEND_SERVER_LIFECYCLE_PORT_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace attend {

// Writes {"grpc": ["127.0.0.1:1234", "unix:/x"], "metrics": "127.0.0.1:5678"}:
// how a script that started the server with port 0 finds it. The file appears
// whole, by a rename. "metrics" is "" where there is none.
absl::Status WritePortFile(const std::string& path, const std::vector<std::string>& grpc,
                           const std::string& metrics);

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_PORT_FILE_H_
