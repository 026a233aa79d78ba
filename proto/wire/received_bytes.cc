// SPDX-License-Identifier: Apache-2.0
#include "proto/wire/received_bytes.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "grpcpp/support/proto_buffer_reader.h"

namespace attend {
namespace {

// gRPC's reader shows the slices to what derives from it.
class SliceReader final : public grpc::ProtoBufferReader {
 public:
  using ProtoBufferReader::ProtoBufferReader;
  const grpc_slice_buffer& slices() { return reader()->buffer_out->data.raw.slice_buffer; }
};

absl::string_view SliceAt(const void* list, size_t index) {
  const grpc_slice& slice = static_cast<const grpc_slice*>(list)[index];
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

}  // namespace

std::optional<WireBytes> ReceivedBytes(const grpc::ByteBuffer& buffer) {
  // The reader asks for a buffer that it may change, and changes nothing.
  SliceReader reader(const_cast<grpc::ByteBuffer*>(&buffer));
  if (!reader.status().ok()) return std::nullopt;
  const grpc_slice_buffer& slices = reader.slices();
  return WireBytes(slices.slices, slices.count, SliceAt);
}

}  // namespace attend
