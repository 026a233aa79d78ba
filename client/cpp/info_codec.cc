// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string>

#include "client/cpp/codec.h"
#include "client/cpp/read_message.h"
#include "client/cpp/status.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"
#include "proto/wire/received_bytes.h"

namespace attend::client::internal {
namespace {

// Bounds for what a hostile or broken server may send. The generated classes
// take up to a hundred times the bytes of a message of empty fields.
constexpr size_t kMaxInfoBytes = 4 << 20;
constexpr size_t kMaxInfoFields = 1 << 16;

// grpc.health.v1.HealthCheckResponse.
constexpr uint32_t kHealthStatusFieldNumber = 1;

std::optional<WireBytes> ReceivedInfo(const grpc::ByteBuffer& buffer) {
  return buffer.Length() > kMaxInfoBytes ? std::nullopt : ReceivedBytes(buffer);
}

absl::Status ParseOrThrow(grpc::ByteBuffer& buffer, google::protobuf::MessageLite& message) {
  const std::optional<WireBytes> bytes = ReceivedInfo(buffer);
  if (!bytes.has_value()) return UndecodableError();
  WireReader wire(*bytes, kMaxInfoFields);
  if (!ReadMessage(wire, [&](WireTag tag) { return wire.SkipField(tag); })) {
    return UndecodableError();
  }
  grpc::ProtoBufferReader reader(&buffer);
  const bool parsed = reader.status().ok() && message.ParseFromZeroCopyStream(&reader);
  return parsed ? absl::OkStatus() : UndecodableError();
}

}  // namespace

absl::StatusOr<HealthStatus> DecodeHealth(const grpc::ByteBuffer& message) {
  const std::optional<WireBytes> bytes = ReceivedInfo(message);
  if (!bytes.has_value()) return UndecodableError();
  WireReader wire(*bytes, kMaxInfoFields);
  int32_t status = 0;
  const bool read = ReadMessage(wire, [&](WireTag tag) {
    const bool known = tag.field == kHealthStatusFieldNumber && tag.type == WireType::kVarint;
    return known ? ReadInt32(wire, status) : wire.SkipField(tag);
  });
  if (!read) return UndecodableError();
  return status >= 0 && status <= 3 ? static_cast<HealthStatus>(status) : HealthStatus::kUnknown;
}

grpc::ByteBuffer EncodeMessage(const google::protobuf::MessageLite& message) {
  const std::string bytes = message.SerializeAsString();
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

absl::Status DecodeMessage(grpc::ByteBuffer& buffer, google::protobuf::MessageLite& message) {
  try {
    return ParseOrThrow(buffer, message);
  } catch (const std::bad_alloc&) {
    return OutOfMemoryError();
  }
}

}  // namespace attend::client::internal
