// SPDX-License-Identifier: Apache-2.0
#include "core/weights/files/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/sha256.h"
#include "core/base/status.h"

namespace attend {
namespace {

absl::Status SystemError(absl::string_view path, absl::string_view what) {
  return absl::ErrnoToStatus(errno, absl::StrCat(path, ": ", what));
}

}  // namespace

absl::StatusOr<File> File::Open(std::string path) {
  // O_NONBLOCK matters to pipes alone: without it, open() waits for a writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return SystemError(path, "the file cannot be opened");
  File file(std::move(path), fd, 0);
  struct stat facts;
  if (::fstat(fd, &facts) != 0) return SystemError(file.path(), "the file's size cannot be read");
  if (!S_ISREG(facts.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(file.path(), " is not a regular file"));
  }
  file.size_ = static_cast<uint64_t>(facts.st_size);
  return file;
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

absl::Status File::ReadAt(uint64_t offset, void* to, size_t bytes) const {
  auto* out = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = ::pread(fd_, out, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path_, "the file cannot be read");
    if (got == 0) {
      return absl::DataLossError(absl::StrCat(
          path_, ": the file shrank after it was opened and now ends at byte ", offset));
    }
    out += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadText(const File& file, uint64_t max_bytes) {
  if (file.size() > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(file.path(), ": the file has ", file.size(),
                                                   " bytes; at most ", max_bytes, " are allowed"));
  }
  std::string text(file.size(), '\0');
  ATTEND_RETURN_IF_ERROR(file.ReadAt(0, text.data(), text.size()));
  return text;
}

absl::StatusOr<std::string> Sha256Hex(const File& file) {
  Sha256 sha;
  std::vector<char> chunk(size_t{1} << 20);
  for (uint64_t offset = 0; offset < file.size();) {
    const size_t bytes = std::min<uint64_t>(chunk.size(), file.size() - offset);
    ATTEND_RETURN_IF_ERROR(file.ReadAt(offset, chunk.data(), bytes));
    sha.Update({chunk.data(), bytes});
    offset += bytes;
  }
  return sha.Finish();
}

}  // namespace attend
