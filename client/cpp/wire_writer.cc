// SPDX-License-Identifier: Apache-2.0
#include "client/cpp/wire_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

#include "attend/v1/tensor.pb.h"
#include "grpcpp/support/slice.h"

namespace attend::client::internal {
namespace {

constexpr int kVarint = 0;
constexpr int kLengthDelimited = 2;
constexpr int kFixed32 = 5;

// Below this, a copy costs less than a slice with its own reference count and
// the extra entry in every frame's write.
constexpr size_t kMinUncopiedBytes = 16 << 10;

static_assert(std::endian::native == std::endian::little,
              "tensors travel little-endian; a big-endian host must swap them");

size_t VarintSize(uint64_t value) {
  return (std::bit_width(value | 1) + 6) / 7;
}

bool Uncopied(const TensorView& view) {
  return view.owner() != nullptr && view.size_bytes() >= kMinUncopiedBytes;
}

grpc::Slice SharedSlice(const TensorView& view) {
  auto* owner = new std::shared_ptr<const void>(view.owner());
  return grpc::Slice(
      const_cast<void*>(view.data()), view.size_bytes(),
      [](void* held) { delete static_cast<std::shared_ptr<const void>*>(held); }, owner);
}

}  // namespace

std::string& WireWriter::Tail() {
  if (pieces_.empty() || pieces_.back().tensor != nullptr) pieces_.emplace_back();
  return pieces_.back().bytes;
}

void WireWriter::Append(absl::string_view bytes) {
  Tail().append(bytes.data(), bytes.size());
  size_ += bytes.size();
}

void WireWriter::RawVarint(uint64_t value) {
  char bytes[10];
  size_t n = 0;
  while (value >= 0x80) {
    bytes[n++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  bytes[n++] = static_cast<char>(value);
  Append(absl::string_view(bytes, n));
}

void WireWriter::Key(int field, int wire_type) {
  RawVarint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire_type));
}

void WireWriter::Varint(int field, uint64_t value) {
  if (value == 0) return;
  Key(field, kVarint);
  RawVarint(value);
}

void WireWriter::Int64(int field, int64_t value) {
  Key(field, kVarint);
  RawVarint(static_cast<uint64_t>(value));
}

void WireWriter::Float(int field, float value) {
  Key(field, kFixed32);
  Append(absl::string_view(reinterpret_cast<const char*>(&value), sizeof(value)));
}

void WireWriter::String(int field, absl::string_view value) {
  if (value.empty()) return;
  Key(field, kLengthDelimited);
  RawVarint(value.size());
  Append(value);
}

void WireWriter::PackedVarints(int field, absl::Span<const int64_t> values) {
  if (values.empty()) return;
  size_t bytes = 0;
  for (const int64_t value : values) bytes += VarintSize(static_cast<uint64_t>(value));
  Key(field, kLengthDelimited);
  RawVarint(bytes);
  for (const int64_t value : values) RawVarint(static_cast<uint64_t>(value));
}

void WireWriter::PackedFloats(int field, absl::Span<const float> values) {
  String(field, absl::string_view(reinterpret_cast<const char*>(values.data()),
                                  values.size() * sizeof(float)));
}

void WireWriter::Tensor(int field, const TensorView& view) {
  WireWriter tensor;
  tensor.Varint(v1::Tensor::kDataTypeFieldNumber, static_cast<uint64_t>(view.type()));
  tensor.PackedVarints(v1::Tensor::kShapeFieldNumber, view.shape());
  if (view.size_bytes() > 0) {
    tensor.Key(v1::Tensor::kDataFieldNumber, kLengthDelimited);
    tensor.RawVarint(view.size_bytes());
    tensor.pieces_.back().tensor = &view;
    tensor.size_ += view.size_bytes();
  }
  Message(field, std::move(tensor));
}

void WireWriter::Message(int field, WireWriter&& message) {
  Key(field, kLengthDelimited);
  RawVarint(message.size_);
  pieces_.insert(pieces_.end(), std::make_move_iterator(message.pieces_.begin()),
                 std::make_move_iterator(message.pieces_.end()));
  size_ += message.size_;
}

grpc::ByteBuffer WireWriter::ToByteBuffer() const {
  std::vector<grpc::Slice> slices;
  // Copied pieces [first, i) are in `bytes`; they become one slice.
  size_t first = 0;
  size_t bytes = 0;
  const auto flush = [&](size_t end, bool with_last_tensor) {
    if (bytes > 0) {
      grpc::Slice slice(bytes);
      auto* to = const_cast<uint8_t*>(slice.begin());
      for (size_t i = first; i < end; ++i) {
        const Piece& piece = pieces_[i];
        to = std::copy(piece.bytes.begin(), piece.bytes.end(), to);
        if (piece.tensor != nullptr && (i + 1 < end || with_last_tensor)) {
          std::memcpy(to, piece.tensor->data(), piece.tensor->size_bytes());
          to += piece.tensor->size_bytes();
        }
      }
      slices.push_back(std::move(slice));
    }
    first = end;
    bytes = 0;
  };
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    bytes += piece.bytes.size();
    if (piece.tensor == nullptr) continue;
    if (Uncopied(*piece.tensor)) {
      flush(i + 1, /*with_last_tensor=*/false);
      slices.push_back(SharedSlice(*piece.tensor));
    } else {
      bytes += piece.tensor->size_bytes();
    }
  }
  flush(pieces_.size(), /*with_last_tensor=*/true);
  // An empty message still needs a slice for the buffer to be valid.
  if (slices.empty()) slices.emplace_back();
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace attend::client::internal
