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
#include "proto/wire/writer.h"

namespace attend::client::internal {
namespace {

using wire_writer::AppendLengthTag;
using wire_writer::AppendMessage;
using wire_writer::AppendTag;
using wire_writer::AppendVarint;
using wire_writer::AppendVarintField;
using wire_writer::VarintSize;

// Below this, a copy costs less than a slice with its own reference count and
// the extra entry in every frame's write.
constexpr size_t kMinUncopiedBytes = 16 << 10;

static_assert(std::endian::native == std::endian::little,
              "tensors travel little-endian; a big-endian host must swap them");

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

size_t WireWriter::size() const {
  size_t size = 0;
  for (const Piece& piece : pieces_) {
    size += piece.bytes.size() + (piece.tensor == nullptr ? 0 : piece.tensor->size_bytes());
  }
  return size;
}

void WireWriter::Varint(int field, uint64_t value) {
  AppendVarintField(field, value, Tail());
}

void WireWriter::Int64(int field, int64_t value) {
  AppendTag(field, WireType::kVarint, Tail());
  AppendVarint(static_cast<uint64_t>(value), Tail());
}

void WireWriter::Float(int field, float value) {
  AppendTag(field, WireType::kFixed32, Tail());
  Tail().append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void WireWriter::String(int field, absl::string_view value) {
  if (!value.empty()) AppendMessage(field, value, Tail());
}

void WireWriter::PackedVarints(int field, absl::Span<const int64_t> values) {
  if (values.empty()) return;
  size_t size = 0;
  for (const int64_t value : values) size += VarintSize(static_cast<uint64_t>(value));
  AppendLengthTag(field, size, Tail());
  for (const int64_t value : values) AppendVarint(static_cast<uint64_t>(value), Tail());
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
    AppendLengthTag(v1::Tensor::kDataFieldNumber, view.size_bytes(), tensor.Tail());
    tensor.pieces_.back().tensor = &view;
  }
  Message(field, std::move(tensor));
}

void WireWriter::Message(int field, WireWriter&& message) {
  AppendLengthTag(field, message.size(), Tail());
  pieces_.insert(pieces_.end(), std::make_move_iterator(message.pieces_.begin()),
                 std::make_move_iterator(message.pieces_.end()));
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
