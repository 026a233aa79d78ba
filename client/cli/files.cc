// SPDX-License-Identifier: Apache-2.0
#include "client/cli/files.h"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include "client/cli/standard_streams.h"

namespace attend::cli {

namespace {

InputFile InMemory(std::string name, std::string all) {
  InputFile file;
  file.name = std::move(name);
  file.size_bytes = static_cast<int64_t>(all.size());
  file.stream = std::make_unique<std::istringstream>(std::move(all), std::ios::binary);
  return file;
}

}  // namespace

absl::StatusOr<InputFile> OpenFile(const std::string& path) {
  if (IsStandardStream(path)) {
    absl::StatusOr<std::string> all = ReadStandardInput();
    if (!all.ok()) return all.status();
    return InMemory("standard input", *std::move(all));
  }
  struct stat about;
  if (stat(path.c_str(), &about) != 0) return absl::ErrnoToStatus(errno, path);
  if (S_ISDIR(about.st_mode)) return absl::InvalidArgumentError(path + ": is a folder");
  auto stream = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!*stream) return absl::ErrnoToStatus(errno, path);
  if (!S_ISREG(about.st_mode)) {
    std::ostringstream all;
    all << stream->rdbuf();
    return InMemory(path, std::move(all).str());
  }
  return InputFile{path, std::move(stream), static_cast<int64_t>(about.st_size)};
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  absl::StatusOr<InputFile> file = OpenFile(path);
  if (!file.ok()) return file.status();
  std::string text(static_cast<size_t>(file->size_bytes), '\0');
  file->stream->read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!*file->stream) return absl::InvalidArgumentError(file->name + ": could not be read");
  return text;
}

absl::Status WriteFile(const std::string& path, const std::vector<absl::string_view>& parts) {
  if (IsStandardStream(path)) return WriteStandardOutput(parts);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file) return absl::ErrnoToStatus(errno, path);
  for (const absl::string_view part : parts) {
    file.write(part.data(), static_cast<std::streamsize>(part.size()));
  }
  file.close();
  if (!file) return absl::UnknownError(path + ": could not be written (is the disk full?)");
  return absl::OkStatus();
}

}  // namespace attend::cli
