// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_WEIGHTS_TEST_FILES_H_
#define ATTEND_TESTS_CORE_WEIGHTS_TEST_FILES_H_

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace attend {

// The folder of one test, which is removed with it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = absl::StrCat(::testing::TempDir(), "/attend-XXXXXX");
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }

  std::string Path(const std::string& name) const { return absl::StrCat(path_, "/", name); }
  const std::string& path() const { return path_; }

  // Writes a file and returns its path.
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }

 private:
  std::string path_;
};

// A valid safetensors file.
inline std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  std::string bytes(sizeof(size), '\0');
  std::memcpy(bytes.data(), &size, sizeof(size));
  return bytes + header + data;
}

// Float32 tensors whose element i of the k-th tensor (in order of name) is
// 1000 k + i.
class TensorSet {
 public:
  TensorSet& Add(const std::string& name, std::vector<int64_t> shape) {
    shapes_[name] = std::move(shape);
    return *this;
  }
  TensorSet& Drop(const std::string& name) {
    shapes_.erase(name);
    return *this;
  }

  std::string Bytes() const {
    std::vector<std::string> entries;
    std::string data;
    int k = 0;
    for (const auto& [name, shape] : shapes_) {
      const size_t begin = data.size();
      int64_t count = 1;
      for (const int64_t size : shape) count *= size;
      for (int64_t i = 0; i < count; ++i) {
        const float value = static_cast<float>(1000 * k + i);
        data.append(reinterpret_cast<const char*>(&value), sizeof(value));
      }
      entries.push_back(absl::StrCat("\"", name, "\":{\"dtype\":\"F32\",\"shape\":[",
                                     absl::StrJoin(shape, ","), "],\"data_offsets\":[", begin, ",",
                                     data.size(), "]}"));
      ++k;
    }
    return SafetensorsBytes(absl::StrCat("{", absl::StrJoin(entries, ","), "}"), data);
  }

 private:
  std::map<std::string, std::vector<int64_t>> shapes_;
};

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_WEIGHTS_TEST_FILES_H_
