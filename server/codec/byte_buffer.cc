// SPDX-License-Identifier: Apache-2.0
#include "server/codec/byte_buffer.h"

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/base/status.h"
#include "proto/wire/received_bytes.h"

namespace attend {
namespace {

using Owner = std::shared_ptr<const Response>;

// Orders the thread that makes a slice before the one that releases it. gRPC does so, too, by the
// slice's count of references, but inside libgrpc, where ThreadSanitizer cannot see it.
std::atomic<uint64_t> slices_made{0};

void Release(void* owner) {
  slices_made.load(std::memory_order_acquire);
  delete static_cast<Owner*>(owner);
}

}  // namespace

absl::Status MissingMessageError() {
  return MakeError(absl::StatusCode::kInvalidArgument, "UNDECODABLE", "",
                   "the request message is missing or cut short");
}

absl::StatusOr<WireBytes> OpenMessage(const grpc::ByteBuffer& buffer) {
  const std::optional<WireBytes> bytes = ReceivedBytes(buffer);
  if (!bytes.has_value()) return MissingMessageError();
  return *bytes;
}

grpc::ByteBuffer MakeByteBuffer(std::shared_ptr<const Response> response,
                                const std::vector<EncodedPiece>& pieces) {
  std::vector<grpc::Slice> slices;
  slices.reserve(pieces.size());
  for (const EncodedPiece& piece : pieces) {
    if (piece.borrowed.empty()) {
      slices.emplace_back(piece.header);
    } else {
      // gRPC's slices are written by nobody; its constructor asks for a plain pointer.
      slices.emplace_back(const_cast<char*>(piece.borrowed.data()), piece.borrowed.size(), Release,
                          new Owner(response));
    }
  }
  slices_made.fetch_add(1, std::memory_order_release);
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace attend
