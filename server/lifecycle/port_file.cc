// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/port_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace attend {
namespace {

bool WriteAll(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t written = write(fd, text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += static_cast<size_t>(written);
  }
  return true;
}

// Closes the descriptor in any case.
bool Fill(int fd, const std::string& text, struct stat& file) {
  const bool filled = WriteAll(fd, text) && fchmod(fd, 0644) == 0 && fstat(fd, &file) == 0;
  const int error = errno;
  const bool closed = close(fd) == 0;
  if (!filled) errno = error;
  return filled && closed;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PortFile>> PortFile::Write(const std::string& path,
                                                          const std::vector<std::string>& grpc,
                                                          const std::string& metrics) {
  const nlohmann::json addresses = {{"grpc", grpc}, {"metrics", metrics}};
  const std::string text =
      addresses.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::string temporary = path + ".XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  struct stat file = {};
  const bool written = fd >= 0 && Fill(fd, text, file);
  if (written && std::rename(temporary.c_str(), path.c_str()) == 0) {
    return std::unique_ptr<PortFile>(new PortFile(path, file.st_dev, file.st_ino));
  }
  const int error = errno;
  if (fd >= 0) unlink(temporary.c_str());
  return absl::UnavailableError(
      absl::StrCat("--port-file: cannot write ", path, ": ", std::strerror(error)));
}

PortFile::~PortFile() {
  struct stat file = {};
  if (lstat(path_.c_str(), &file) != 0) return;
  if (file.st_dev == device_ && file.st_ino == inode_) unlink(path_.c_str());
}

}  // namespace attend
