// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_CHUNKS_H_
#define ATTEND_CLIENT_CPP_CHUNKS_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"

namespace attend::client::internal {

// A received message in the chunks in which gRPC holds it, as WireReader takes
// them. Shares the chunks with the buffer; copies none.
struct Chunks {
  std::vector<grpc::Slice> slices;
  std::vector<absl::string_view> views;
};

// False where `message` holds none.
inline bool Split(const grpc::ByteBuffer& message, Chunks& chunks) {
  if (!message.Valid() || !message.Dump(&chunks.slices).ok()) return false;
  for (const grpc::Slice& slice : chunks.slices) {
    chunks.views.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return true;
}

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_CHUNKS_H_
