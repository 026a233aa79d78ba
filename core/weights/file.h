#ifndef ATTEND_CORE_WEIGHTS_FILE_H_
#define ATTEND_CORE_WEIGHTS_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attend {

// A regular file that is open for reading. Read with pread, not mapped: a file
// that someone truncates while it is mapped kills the process with SIGBUS, a
// short pread is an error. Move-only; ReadAt is thread-safe.
class File {
 public:
  // NOT_FOUND where there is none, INVALID_ARGUMENT where it is not a regular
  // file (a pipe would block for ever), UNKNOWN with the system's reason else.
  static absl::StatusOr<File> Open(std::string path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::string& path() const { return path_; }

  // At the time of Open.
  uint64_t size() const { return size_; }

  // Fills `bytes` bytes from `offset` on, or fails (DATA_LOSS where the file ends
  // before). Blocks on the disk.
  absl::Status ReadAt(uint64_t offset, void* to, size_t bytes) const;

 private:
  File(std::string path, int fd, uint64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}

  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// The whole file. INVALID_ARGUMENT where it is longer than `max_bytes`.
absl::StatusOr<std::string> ReadText(const File& file, uint64_t max_bytes);

// SHA-256 in lower-case hex, of `text` and of a file's bytes.
std::string Sha256Hex(absl::string_view text);
absl::StatusOr<std::string> Sha256Hex(const File& file);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_FILE_H_
