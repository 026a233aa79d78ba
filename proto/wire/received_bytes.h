// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_PROTO_WIRE_RECEIVED_BYTES_H_
#define ATTEND_PROTO_WIRE_RECEIVED_BYTES_H_

#include <optional>

#include "grpcpp/support/byte_buffer.h"
#include "proto/wire/bytes.h"

namespace attend {

// The bytes of a received message where gRPC holds them. ByteBuffer::Dump would make a list of
// slices, 32 bytes for each, and whoever sends a message decides how many it has. Null where the
// buffer holds no message. The bytes must not be used after the buffer is changed or destroyed.
// Holds no reference of its own: one that is released after the buffer, outside of gRPC, may wake
// a reclaimer of the memory quota, and gRPC 1.51 crashes then.
std::optional<WireBytes> ReceivedBytes(const grpc::ByteBuffer& buffer);

}  // namespace attend

#endif  // ATTEND_PROTO_WIRE_RECEIVED_BYTES_H_
