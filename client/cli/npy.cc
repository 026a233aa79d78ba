// SPDX-License-Identifier: Apache-2.0
#include <cctype>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/arrays.h"

// The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
namespace attend::cli {
namespace {

using internal::FileArray;

constexpr absl::string_view kMagic("\x93NUMPY", 6);
// NumPy's headers are below 200 bytes for any shape; this leaves room.
constexpr uint32_t kMaxNpyHeaderBytes = 64 << 10;

// Reads the header's Python dictionary: {'descr': '<f4', 'fortran_order': False,
// 'shape': (2, 3), }, its keys once each and in any order.
class HeaderReader {
 public:
  explicit HeaderReader(absl::string_view text) : text_(text) {}

  bool Read(std::string* descr, bool* fortran_order, client::Shape* shape) {
    bool has_descr = false;
    bool has_order = false;
    bool has_shape = false;
    if (!Take("{")) return false;
    while (!Take("}")) {
      std::string key;
      if (!Quoted(&key) || !Take(":")) return false;
      if (key == "descr" && !has_descr) {
        has_descr = Quoted(descr);
        if (!has_descr) return false;
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        *fortran_order = Take("True");
        if (!*fortran_order && !Take("False")) return false;
      } else if (key == "shape" && !has_shape) {
        has_shape = Tuple(shape);
        if (!has_shape) return false;
      } else {
        return false;
      }
      if (!Take(",") && (Skip(), !absl::StartsWith(text_, "}"))) return false;
    }
    Skip();
    return text_.empty() && has_descr && has_order && has_shape;
  }

 private:
  void Skip() { text_ = absl::StripLeadingAsciiWhitespace(text_); }

  bool Take(absl::string_view token) {
    Skip();
    return absl::ConsumePrefix(&text_, token);
  }

  bool Quoted(std::string* value) {
    Skip();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return false;
    const size_t end = text_.find(text_[0], 1);
    if (end == absl::string_view::npos) return false;
    *value = std::string(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return true;
  }

  bool Tuple(client::Shape* shape) {
    if (!Take("(")) return false;
    while (!Take(")")) {
      Skip();
      size_t digits = 0;
      while (digits < text_.size() && std::isdigit(static_cast<unsigned char>(text_[digits]))) {
        ++digits;
      }
      shape->emplace_back();
      if (!absl::SimpleAtoi(text_.substr(0, digits), &shape->back())) return false;
      text_.remove_prefix(digits);
      if (!Take(",") && (Skip(), !absl::StartsWith(text_, ")"))) return false;
    }
    return true;
  }

  absl::string_view text_;
};

bool SetType(absl::string_view descr, FileArray* array) {
  if (descr == "<f4") {
    array->type = DataType::kFloat32;
  } else if (descr == "<f2") {
    array->type = DataType::kFloat16;
  } else if (descr == "|b1") {
    array->type = DataType::kBool;
  } else if (descr == "<f8") {
    array->type = DataType::kFloat32;
    array->float64 = true;
  } else {
    return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<Tensor> ReadNpy(const std::string& path) {
  absl::StatusOr<InputFile> file = OpenFile(path);
  if (!file.ok()) return file.status();
  return ReadNpy(*file);
}

absl::StatusOr<Tensor> ReadNpy(InputFile& file) {
  const auto refuse = [&file](const auto&... why) {
    return absl::InvalidArgumentError(absl::StrCat(file.name, ": ", why...));
  };
  std::istream& stream = *file.stream;
  const int64_t file_bytes = file.size_bytes;

  unsigned char start[12] = {};
  stream.read(reinterpret_cast<char*>(start), 10);
  if (!stream || std::memcmp(start, kMagic.data(), kMagic.size()) != 0) {
    return refuse("is not a .npy file");
  }
  uint32_t header_bytes = start[8] | static_cast<uint32_t>(start[9]) << 8;
  FileArray array;
  array.offset = 10;
  if (start[6] == 2 || start[6] == 3) {
    stream.read(reinterpret_cast<char*>(start) + 10, 2);
    header_bytes |= static_cast<uint32_t>(start[10]) << 16 | static_cast<uint32_t>(start[11]) << 24;
    array.offset = 12;
  } else if (start[6] != 1) {
    return refuse(".npy version ", static_cast<int>(start[6]), " is not known");
  }
  if (!stream || header_bytes > kMaxNpyHeaderBytes || array.offset + header_bytes > file_bytes) {
    return refuse("the header's length of ", header_bytes, " bytes is wrong");
  }
  std::string header(header_bytes, '\0');
  stream.read(header.data(), header_bytes);
  std::string descr;
  bool fortran_order = false;
  if (!stream || !HeaderReader(header).Read(&descr, &fortran_order, &array.shape)) {
    return refuse("the header cannot be read");
  }
  if (fortran_order) {
    return refuse("is in Fortran order; save numpy.ascontiguousarray(array) instead");
  }
  if (!SetType(descr, &array)) {
    return refuse("type \"", descr,
                  "\" is not one of float32 (<f4), float16 (<f2), float64 (<f8), "
                  "bool (|b1); bfloat16 goes into .safetensors");
  }
  array.offset += header_bytes;
  const std::optional<int64_t> size = SizeBytes(array);
  if (!size.has_value() || *size != file_bytes - array.offset) {
    return refuse("shape ", client::ToString(array.shape), " does not fit the ",
                  file_bytes - array.offset, " bytes of data");
  }
  array.size_bytes = *size;
  return internal::ReadData(file, array);
}

absl::Status WriteNpy(const std::string& path, const Tensor& tensor) {
  if (tensor.type() == DataType::kBFloat16) {
    absl::StatusOr<Tensor> wide = ConvertTensor(tensor, DataType::kFloat32);
    if (!wide.ok()) return wide.status();
    return WriteNpy(path, *wide);
  }
  const char* descr = tensor.type() == DataType::kFloat32   ? "<f4"
                      : tensor.type() == DataType::kFloat16 ? "<f2"
                                                            : "|b1";
  std::string shape;
  for (const int64_t size : tensor.shape()) absl::StrAppend(&shape, size, ", ");
  std::string header =
      absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (", shape, "), }");
  // Padded so that the data starts at a multiple of 64.
  const size_t whole = (10 + header.size() + 1 + 63) / 64 * 64;
  header.resize(whole - 10 - 1, ' ');
  header += '\n';
  std::string start(kMagic);
  start +=
      {'\1', '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return WriteFile(
      path, {start, header,
             absl::string_view(static_cast<const char*>(tensor.data()), tensor.size_bytes())});
}

}  // namespace attend::cli
