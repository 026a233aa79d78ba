// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_WIRE_WRITER_H_
#define ATTEND_CLIENT_CPP_WIRE_WRITER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attend/tensor.h"
#include "grpcpp/support/byte_buffer.h"

namespace attend::client::internal {

// One protobuf message under construction, with the tensors' bytes left where they
// are until ToByteBuffer: the generated classes would copy them twice (into the
// message, then into its serialization).
//
// Holds pointers into the views given to Tensor(): they must outlive it.
// Like proto3, the scalar functions leave out a value of 0 and empty lists.
class WireWriter {
 public:
  void Varint(int field, uint64_t value);
  void Int64(int field, int64_t value);  // this and Float also write 0: for optional fields
  void Float(int field, float value);
  void String(int field, absl::string_view value);
  void PackedVarints(int field, absl::Span<const int64_t> values);
  void PackedFloats(int field, absl::Span<const float> values);

  // An attend.v1.Tensor. The view must be valid (TensorView::Validate).
  void Tensor(int field, const TensorView& view);

  // A nested message; written also where it is empty.
  void Message(int field, WireWriter&& message);

  size_t size() const;

  // Everything without an owner goes into as few slices as possible, copied
  // once; large data with an owner becomes a slice of its own, uncopied.
  grpc::ByteBuffer ToByteBuffer() const;

 private:
  // Bytes, then the data of `tensor` if it is set.
  struct Piece {
    std::string bytes;
    const TensorView* tensor = nullptr;
  };

  // Where the next bytes go.
  std::string& Tail();

  std::vector<Piece> pieces_;
};

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_WIRE_WRITER_H_
