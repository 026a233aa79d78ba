// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_LIFECYCLE_PORT_FILE_H_
#define ATTEND_SERVER_LIFECYCLE_PORT_FILE_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace attend {

// The file {"grpc": ["127.0.0.1:1234", "unix:/x"], "metrics": "127.0.0.1:5678"}, by which a script
// that started the server with port 0 finds it. "metrics" is "" where there is none. Not
// thread-safe.
class PortFile {
 public:
  // Writes the file, which anybody may read, beside `path` under a name that is not in use, and
  // then renames it, so that it appears whole. It replaces a file or a link at `path`. UNAVAILABLE
  // that names the path and says why it cannot be written; nothing is left behind then.
  static absl::StatusOr<std::unique_ptr<PortFile>> Write(const std::string& path,
                                                         const std::vector<std::string>& grpc,
                                                         const std::string& metrics);

  // Removes the file, unless it is another one by now, such as that of the next server.
  ~PortFile();

  PortFile(const PortFile&) = delete;
  PortFile& operator=(const PortFile&) = delete;

 private:
  PortFile(std::string path, dev_t device, ino_t inode)
      : path_(std::move(path)), device_(device), inode_(inode) {}

  const std::string path_;
  const dev_t device_;
  const ino_t inode_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_LIFECYCLE_PORT_FILE_H_
