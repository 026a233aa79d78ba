// SPDX-License-Identifier: Apache-2.0
#include "core/base/read_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

namespace attend {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

absl::StatusOr<std::string> ReadFileUpTo(size_t most, const std::string& path) {
  const auto unreadable = [] { return absl::UnavailableError(std::strerror(errno)); };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             std::fclose);
  if (file == nullptr) return unreadable();
  std::string text;
  std::array<char, 4096> part;
  while (text.size() < most) {
    const size_t size =
        std::fread(part.data(), 1, std::min(part.size(), most - text.size()), file.get());
    if (std::ferror(file.get()) != 0) return unreadable();  // as of a directory
    if (size == 0) break;
    text.append(part.data(), size);
  }
  return text;
}

}  // namespace attend
