// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cpp/codec.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"

namespace attend::client::internal {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr size_t kAlignment = 64;
constexpr uint32_t kVarint = WireFormatLite::WIRETYPE_VARINT;
constexpr uint32_t kBytes = WireFormatLite::WIRETYPE_LENGTH_DELIMITED;

constexpr uint32_t Tag(int field, uint32_t wire_type) {
  return static_cast<uint32_t>(field) << 3 | wire_type;
}

std::shared_ptr<void> AlignedBuffer(size_t size) {
  const size_t rounded = (size + kAlignment - 1) / kAlignment * kAlignment;
  void* data = std::aligned_alloc(kAlignment, std::max(rounded, kAlignment));
  if (data == nullptr) throw std::bad_alloc();
  return std::shared_ptr<void>(data, &std::free);
}

// Calls `field(tag)` for each field of the message that the innermost limit of
// `in` encloses; false ends it. True: the message ended where it should.
template <typename Field>
bool ForEachField(CodedInputStream& in, Field field) {
  while (const uint32_t tag = in.ReadTag()) {
    if (!field(tag)) return false;
  }
  return in.ConsumedEntireMessage();
}

// The same for a nested message that starts with its length.
template <typename Field>
bool Nested(CodedInputStream& in, Field field) {
  uint32_t length;
  if (!in.ReadVarint32(&length)) return false;
  if (length > static_cast<uint32_t>(std::max(in.BytesUntilLimit(), 0))) return false;
  const CodedInputStream::Limit limit = in.PushLimit(static_cast<int>(length));
  const bool ok = ForEachField(in, field);
  in.PopLimit(limit);
  return ok;
}

bool ReadInt64(CodedInputStream& in, int64_t* value) {
  uint64_t bits;
  if (!in.ReadVarint64(&bits)) return false;
  *value = static_cast<int64_t>(bits);
  return true;
}

// Allocates only what the message really holds.
bool ReadData(CodedInputStream& in, std::shared_ptr<void>* data, size_t* size) {
  uint32_t length;
  if (!in.ReadVarint32(&length)) return false;
  if (length > static_cast<uint32_t>(std::max(in.BytesUntilLimit(), 0))) return false;
  *data = AlignedBuffer(length);
  *size = length;
  return in.ReadRaw(data->get(), static_cast<int>(length));
}

bool ReadTensor(CodedInputStream& in, Tensor* tensor) {
  int64_t type = 0;
  Shape shape;
  std::shared_ptr<void> data = AlignedBuffer(0);
  size_t size = 0;
  const bool read = Nested(in, [&](uint32_t tag) {
    switch (tag) {
      case Tag(1, kVarint):
        return ReadInt64(in, &type);
      case Tag(2, kVarint):
        shape.push_back(0);
        return ReadInt64(in, &shape.back());
      case Tag(2, kBytes): {
        uint32_t length;
        if (!in.ReadVarint32(&length)) return false;
        const CodedInputStream::Limit limit = in.PushLimit(static_cast<int>(length));
        while (in.BytesUntilLimit() > 0) {
          shape.push_back(0);
          if (!ReadInt64(in, &shape.back())) return false;
        }
        in.PopLimit(limit);
        return true;
      }
      case Tag(3, kBytes):
        return ReadData(in, &data, &size);
      default:
        return WireFormatLite::SkipField(&in, tag);
    }
  });
  if (!read || type < 1 || type > static_cast<int64_t>(DataType::kBool)) return false;
  *tensor = Tensor(static_cast<DataType>(type), std::move(shape), std::move(data), size);
  return tensor->view().Validate().ok();
}

bool ReadTiming(CodedInputStream& in, Timing* timing) {
  int64_t queue_ns = 0;
  int64_t compute_ns = 0;
  const bool read = Nested(in, [&](uint32_t tag) {
    switch (tag) {
      case Tag(1, kVarint):
        return ReadInt64(in, &queue_ns);
      case Tag(2, kVarint):
        return ReadInt64(in, &compute_ns);
      case Tag(3, kVarint):
        return ReadInt64(in, &timing->batch_requests);
      case Tag(4, kVarint):
        return ReadInt64(in, &timing->batch_tokens);
      default:
        return WireFormatLite::SkipField(&in, tag);
    }
  });
  timing->queue = absl::Nanoseconds(queue_ns);
  timing->compute = absl::Nanoseconds(compute_ns);
  return read;
}

absl::Status Undecodable() {
  return absl::DataLossError("the server's answer is not a response of this API");
}

}  // namespace

absl::StatusOr<AttentionResult> Decode(grpc::ByteBuffer& message, const ResponseFields& fields) {
  if (!message.Valid() || message.Length() > std::numeric_limits<int32_t>::max()) {
    return Undecodable();
  }
  const int size = static_cast<int>(message.Length());
  grpc::ProtoBufferReader reader(&message);
  if (!reader.status().ok()) return Undecodable();
  CodedInputStream in(&reader);
  in.PushLimit(size);
  AttentionResult result;
  const bool read = ForEachField(in, [&](uint32_t tag) {
    if (tag == Tag(1, kBytes)) return ReadTensor(in, &result.output);
    if (tag == Tag(2, kBytes)) return ReadTensor(in, &result.weights.emplace());
    if (tag == Tag(fields.log_sum_exp, kBytes)) {
      return ReadTensor(in, &result.log_sum_exp.emplace());
    }
    if (tag == Tag(fields.timing, kBytes)) return ReadTiming(in, &result.timing);
    if (fields.layer_sha256 != 0 && tag == Tag(fields.layer_sha256, kBytes)) {
      return WireFormatLite::ReadBytes(&in, &result.layer_sha256);
    }
    return WireFormatLite::SkipField(&in, tag);
  });
  if (!read || result.output.data() == nullptr) return Undecodable();
  return result;
}

absl::StatusOr<HealthStatus> DecodeHealth(grpc::ByteBuffer& message) {
  if (!message.Valid()) return Undecodable();
  grpc::ProtoBufferReader reader(&message);
  if (!reader.status().ok()) return Undecodable();
  CodedInputStream in(&reader);
  int64_t status = 0;
  const bool read = ForEachField(in, [&](uint32_t tag) {
    if (tag == Tag(1, kVarint)) return ReadInt64(in, &status);
    return WireFormatLite::SkipField(&in, tag);
  });
  if (!read) return Undecodable();
  return status >= 0 && status <= 3 ? static_cast<HealthStatus>(status) : HealthStatus::kUnknown;
}

grpc::ByteBuffer EncodeMessage(const google::protobuf::MessageLite& message) {
  const std::string bytes = message.SerializeAsString();
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

absl::Status DecodeMessage(grpc::ByteBuffer& buffer, google::protobuf::MessageLite& message) {
  if (!buffer.Valid()) return Undecodable();
  grpc::ProtoBufferReader reader(&buffer);
  if (!reader.status().ok() || !message.ParseFromZeroCopyStream(&reader)) return Undecodable();
  return absl::OkStatus();
}

}  // namespace attend::client::internal
