// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attend/v1/attention.pb.h"
#include "attend/v1/tensor.pb.h"
#include "client/cpp/codec.h"
#include "client/cpp/wire_reader.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"

namespace attend::client::internal {
namespace {

// Bounds for what a hostile or broken server may send: more than any response of
// this API has.
constexpr size_t kMaxRank = 8;
constexpr size_t kMaxSha256Bytes = 64;  // in hex
constexpr size_t kMaxInfoBytes = 4 << 20;
constexpr size_t kMaxInfoFields = 1 << 16;

// grpc.health.v1.HealthCheckResponse.
constexpr uint32_t kHealthStatusFieldNumber = 1;

absl::Status Undecodable() {
  return absl::DataLossError("the response could not be decoded");
}

absl::Status OutOfMemory() {
  return absl::ResourceExhaustedError("the client has no memory for the response");
}

// The received slices and the views that WireReader needs.
struct Chunks {
  std::vector<grpc::Slice> slices;
  std::vector<absl::string_view> views;
};

bool Split(const grpc::ByteBuffer& message, Chunks& chunks) {
  if (!message.Valid() || !message.Dump(&chunks.slices).ok()) return false;
  for (const grpc::Slice& slice : chunks.slices) {
    chunks.views.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return true;
}

// A tensor as it stands in the message; nothing is copied or trusted yet.
struct TensorParts {
  int64_t data_type = 0;
  Shape shape;
  WireSpan data;
};

bool ReadShape(WireReader& wire, WireTag tag, Shape& shape) {
  const auto read_one = [&] {
    int64_t size = 0;
    if (shape.size() == kMaxRank || !wire.ReadInt64(size)) return false;
    shape.push_back(size);
    return true;
  };
  if (tag.type == WireType::kVarint) return read_one();
  if (tag.type != WireType::kLength) return wire.SkipField(tag);
  size_t packed = 0;
  if (!wire.ReadLength(packed)) return false;
  const size_t old_limit = wire.PushLimit(packed);
  while (wire.remaining() > 0) {
    if (!read_one()) return false;
  }
  wire.PopLimit(old_limit);
  return true;
}

bool ReadTensor(WireReader& wire, std::optional<TensorParts>& tensor) {
  TensorParts& parts = tensor.emplace();
  return ReadSubmessage(wire, [&](WireTag tag) {
    if (tag.field == v1::Tensor::kShapeFieldNumber) return ReadShape(wire, tag, parts.shape);
    if (tag.field == v1::Tensor::kDataTypeFieldNumber && tag.type == WireType::kVarint) {
      return wire.ReadInt64(parts.data_type);
    }
    if (tag.field == v1::Tensor::kDataFieldNumber && tag.type == WireType::kLength) {
      return wire.ReadSpan(parts.data);
    }
    return wire.SkipField(tag);
  });
}

bool ReadTiming(WireReader& wire, Timing& timing) {
  return ReadSubmessage(wire, [&](WireTag tag) {
    if (tag.type != WireType::kVarint) return wire.SkipField(tag);
    int64_t value = 0;
    if (!wire.ReadInt64(value)) return false;
    switch (tag.field) {
      case v1::Timing::kQueueNsFieldNumber:
        timing.queue = absl::Nanoseconds(value);
        break;
      case v1::Timing::kComputeNsFieldNumber:
        timing.compute = absl::Nanoseconds(value);
        break;
      case v1::Timing::kBatchRequestsFieldNumber:
        timing.batch_requests = value;
        break;
      case v1::Timing::kBatchTokensFieldNumber:
        timing.batch_tokens = value;
        break;
      default:  // of a newer server
        break;
    }
    return true;
  });
}

struct ResponseParts {
  std::optional<TensorParts> output;
  std::optional<TensorParts> weights;
  std::optional<TensorParts> log_sum_exp;
};

// Reads the tensors into `parts` and the rest into `result`.
bool ReadResponse(WireReader& wire, const ResponseFields& fields, ResponseParts& parts,
                  AttentionResult& result) {
  return ReadMessage(wire, [&](WireTag tag) {
    if (tag.type != WireType::kLength) return wire.SkipField(tag);
    if (tag.field == fields.output) return ReadTensor(wire, parts.output);
    if (tag.field == fields.weights) return ReadTensor(wire, parts.weights);
    if (tag.field == fields.log_sum_exp) return ReadTensor(wire, parts.log_sum_exp);
    if (tag.field == fields.timing) return ReadTiming(wire, result.timing);
    if (tag.field == fields.layer_sha256) {
      return wire.ReadString(kMaxSha256Bytes, result.layer_sha256);
    }
    return wire.SkipField(tag);
  });
}

// Copies a tensor out of the message, after its shape was found to fit its data:
// so no more is allocated than was received.
absl::Status MakeTensor(const WireReader& wire, const TensorParts& parts, Allocate allocate,
                        Tensor& tensor) {
  if (parts.data_type < v1::DATA_TYPE_FLOAT32 || parts.data_type > v1::DATA_TYPE_BOOL) {
    return Undecodable();
  }
  const auto type = static_cast<DataType>(parts.data_type);
  const TensorView view(type, nullptr, parts.data.size, parts.shape);
  if (!view.Validate().ok()) return Undecodable();
  std::shared_ptr<void> data = allocate(parts.data.size);
  if (data == nullptr) return OutOfMemory();
  wire.Copy(parts.data, data.get());
  tensor = Tensor(type, parts.shape, std::move(data), parts.data.size);
  return absl::OkStatus();
}

absl::StatusOr<AttentionResult> DecodeOrThrow(const grpc::ByteBuffer& message,
                                              const ResponseFields& fields, Allocate allocate) {
  Chunks chunks;
  if (!Split(message, chunks)) return Undecodable();
  WireReader wire(chunks.views);
  ResponseParts parts;
  AttentionResult result;
  if (!ReadResponse(wire, fields, parts, result) || !parts.output.has_value()) {
    return Undecodable();
  }
  absl::Status status = MakeTensor(wire, *parts.output, allocate, result.output);
  if (status.ok() && parts.weights.has_value()) {
    status = MakeTensor(wire, *parts.weights, allocate, result.weights.emplace());
  }
  if (status.ok() && parts.log_sum_exp.has_value()) {
    status = MakeTensor(wire, *parts.log_sum_exp, allocate, result.log_sum_exp.emplace());
  }
  if (!status.ok()) return status;
  return result;
}

}  // namespace

std::shared_ptr<void> AllocateAligned(size_t size_bytes) {
  constexpr size_t kAlignment = 64;
  const size_t rounded = (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* data = std::aligned_alloc(kAlignment, std::max(rounded, kAlignment));
  if (data == nullptr) return nullptr;
  return std::shared_ptr<void>(data, &std::free);
}

absl::StatusOr<AttentionResult> Decode(const grpc::ByteBuffer& message,
                                       const ResponseFields& fields, Allocate allocate) {
  // On the client's thread an exception would end the user's program.
  try {
    return DecodeOrThrow(message, fields, allocate);
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  }
}

absl::StatusOr<HealthStatus> DecodeHealth(const grpc::ByteBuffer& message) {
  Chunks chunks;
  if (message.Length() > kMaxInfoBytes || !Split(message, chunks)) return Undecodable();
  WireReader wire(chunks.views);
  int64_t status = 0;
  const bool read = ReadMessage(wire, [&](WireTag tag) {
    const bool known = tag.field == kHealthStatusFieldNumber && tag.type == WireType::kVarint;
    return known ? wire.ReadInt64(status) : wire.SkipField(tag);
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
  try {
    Chunks chunks;
    if (buffer.Length() > kMaxInfoBytes || !Split(buffer, chunks)) return Undecodable();
    WireReader wire(chunks.views);
    size_t fields = 0;
    if (!ReadMessage(
            wire, [&](WireTag tag) { return ++fields <= kMaxInfoFields && wire.SkipField(tag); })) {
      return Undecodable();
    }
    grpc::ProtoBufferReader reader(&buffer);
    if (!reader.status().ok() || !message.ParseFromZeroCopyStream(&reader)) return Undecodable();
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  }
}

}  // namespace attend::client::internal
