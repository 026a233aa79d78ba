// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_WEIGHTS_FILES_GGUF_H_
#define ATTEND_CORE_WEIGHTS_FILES_GGUF_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/weights/files/file.h"

namespace attend {

// GGUF files, the format of llama.cpp, do not load. They are recognised, so that the refusal can
// say how to convert them. All functions are thread-safe and block on the disk.

// Whether the file begins with the magic of the format, the letters GGUF
// (github.com/ggml-org/ggml, docs/gguf.md). False if the file cannot be read.
bool IsGguf(const File& file);

// The path of the first GGUF file of a directory, in order of name; nothing if there is none or
// the directory cannot be read.
std::optional<std::string> FindGguf(const std::string& directory);

// INVALID_ARGUMENT that names the file and the command that converts it.
absl::Status GgufError(absl::string_view path);

}  // namespace attend

#endif  // ATTEND_CORE_WEIGHTS_FILES_GGUF_H_
