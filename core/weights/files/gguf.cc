// SPDX-License-Identifier: Apache-2.0
#include "core/weights/files/gguf.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace attend {
namespace {

constexpr absl::string_view kMagic = "GGUF";

}  // namespace

bool IsGguf(const File& file) {
  char magic[kMagic.size()];
  if (file.size() < sizeof(magic)) return false;
  if (!file.ReadAt(0, magic, sizeof(magic)).ok()) return false;
  return absl::string_view(magic, sizeof(magic)) == kMagic;
}

std::optional<std::string> FindGguf(const std::string& directory) {
  std::error_code failed;
  std::vector<std::string> paths;
  for (std::filesystem::directory_iterator it(directory, failed), end; !failed && it != end;
       it.increment(failed)) {
    paths.push_back(it->path().string());
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    const absl::StatusOr<File> file = File::Open(path);
    if (file.ok() && IsGguf(*file)) return path;
  }
  return std::nullopt;
}

absl::Status GgufError(absl::string_view path) {
  return absl::InvalidArgumentError(
      absl::StrCat(path,
                   ": the file is a GGUF, a format that does not load; convert it to a checkpoint "
                   "directory with: python client/examples/convert_gguf.py ",
                   path, " DIRECTORY"));
}

}  // namespace attend
