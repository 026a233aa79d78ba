// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_FILES_FILE_H_
#define ATTEND_CORE_WEIGHTS_FILES_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attend {

// A regular file that is open for reading. It is read with pread rather than mapped: if
// somebody truncates a mapped file, the process dies of SIGBUS, whereas a short pread is an
// error. Move-only; ReadAt is thread-safe.
class File {
 public:
  // NOT_FOUND if the path does not exist, INVALID_ARGUMENT if it is not a regular file (a pipe
  // could block forever), and absl::ErrnoToStatus of the system's error otherwise.
  static absl::StatusOr<File> Open(std::string path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::string& path() const { return path_; }

  // Size in bytes when the file was opened.
  uint64_t size() const { return size_; }

  // Reads `bytes` bytes at `offset` into `to`, which the caller owns. DATA_LOSS if the file
  // ends before the last of them; `to` then holds an unspecified part. Blocks on the disk.
  absl::Status ReadAt(uint64_t offset, void* to, size_t bytes) const;

 private:
  File(std::string path, int fd, uint64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}

  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Reads the whole file. INVALID_ARGUMENT if it is longer than `max_bytes`.
absl::StatusOr<std::string> ReadText(const File& file, uint64_t max_bytes);

// The SHA-256 of the file's bytes, in lower-case hex. Blocks on the disk.
absl::StatusOr<std::string> Sha256Hex(const File& file);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_FILES_FILE_H_
