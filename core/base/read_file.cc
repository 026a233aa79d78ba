// SPDX-License-Identifier: Apache-2.0
#include "core/base/read_file.h"

#include <fstream>
#include <iterator>

namespace attend {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace attend
