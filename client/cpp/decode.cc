// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.pb.h"
#include "attend/v1/tensor.pb.h"
#include "client/cpp/codec.h"
#include "client/cpp/read_message.h"
#include "client/cpp/status.h"
#include "proto/wire/received_bytes.h"

namespace attend::client::internal {
namespace {

// Bounds for what a hostile or broken server may send: more than any response of
// this API has.
constexpr size_t kMaxFields = 10'000;
constexpr size_t kMaxRank = 8;
constexpr size_t kMaxSha256Bytes = 64;  // in hex

// A server sends few and short ones; more are left out.
constexpr size_t kMaxWarnings = 16;
constexpr size_t kMaxWarningBytes = 4096;

// A tensor as it stands in the message; nothing is copied or trusted yet.
struct TensorParts {
  int32_t data_type = 0;
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
  // A second occurrence is merged into the first, as protobuf does.
  if (!tensor.has_value()) tensor.emplace();
  TensorParts& parts = *tensor;
  return ReadSubmessage(wire, [&](WireTag tag) {
    if (tag.field == v1::Tensor::kShapeFieldNumber) return ReadShape(wire, tag, parts.shape);
    if (tag.field == v1::Tensor::kDataTypeFieldNumber && tag.type == WireType::kVarint) {
      return ReadInt32(wire, parts.data_type);
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

// Reads the tensors into `parts` and the rest into `response`.
bool ReadResponse(WireReader& wire, const ResponseFields& fields, ResponseParts& parts,
                  AttentionResponse& response) {
  return ReadMessage(wire, [&](WireTag tag) {
    if (tag.type != WireType::kLength) return wire.SkipField(tag);
    if (tag.field == fields.output) return ReadTensor(wire, parts.output);
    if (tag.field == fields.weights) return ReadTensor(wire, parts.weights);
    if (tag.field == fields.log_sum_exp) return ReadTensor(wire, parts.log_sum_exp);
    if (tag.field == fields.timing) return ReadTiming(wire, response.timing);
    if (tag.field == fields.layer_sha256) {
      return ReadString(wire, kMaxSha256Bytes, response.layer_sha256);
    }
    if (tag.field == fields.warnings && response.warnings.size() < kMaxWarnings) {
      return ReadString(wire, kMaxWarningBytes, response.warnings.emplace_back());
    }
    return wire.SkipField(tag);
  });
}

absl::Status BufferMismatch(absl::string_view name, absl::string_view found,
                            const TensorBuffer& buffer) {
  return LocalError("BUFFER_MISMATCH", absl::StrCat("buffers.", name),
                    absl::StrCat("is ", buffer.size_bytes(), " bytes of ", Name(buffer.type()),
                                 ", but the response holds ", found));
}

// The memory for a tensor: its buffer where there is one.
absl::StatusOr<std::shared_ptr<void>> MemoryFor(absl::string_view name, const TensorView& tensor,
                                                const TensorBuffer& buffer, Allocate allocate) {
  if (!buffer.present()) {
    std::shared_ptr<void> data = allocate(tensor.size_bytes());
    if (data == nullptr) return OutOfMemoryError();
    return data;
  }
  if (buffer.type() != tensor.type() || buffer.size_bytes() != tensor.size_bytes()) {
    return BufferMismatch(
        name, absl::StrCat(tensor.size_bytes(), " bytes of ", Name(tensor.type())), buffer);
  }
  // Points to the buffer and owns nothing.
  return std::shared_ptr<void>(std::shared_ptr<void>(), buffer.data());
}

// Copies a tensor out of the message, after its shape was found to fit its data:
// so no more is allocated than was received. An absent tensor leaves `tensor` empty.
absl::Status MakeTensor(const WireReader& wire, absl::string_view name,
                        const std::optional<TensorParts>& parts, const TensorBuffer& buffer,
                        Allocate allocate, std::optional<Tensor>& tensor) {
  if (!parts.has_value()) {
    return buffer.present() ? BufferMismatch(name, "no such tensor", buffer) : absl::OkStatus();
  }
  if (parts->data_type < v1::DATA_TYPE_FLOAT32 || parts->data_type > v1::DATA_TYPE_BOOL) {
    return UndecodableError();
  }
  const TensorView view(static_cast<DataType>(parts->data_type), nullptr, parts->data.size,
                        parts->shape);
  if (!view.Validate().ok()) return UndecodableError();
  absl::StatusOr<std::shared_ptr<void>> data = MemoryFor(name, view, buffer, allocate);
  if (!data.ok()) return data.status();
  wire.Copy(parts->data, data->get());
  tensor.emplace(view.type(), view.shape(), *std::move(data), view.size_bytes());
  return absl::OkStatus();
}

absl::StatusOr<AttentionResponse> DecodeOrThrow(const WireBytes& message,
                                                const ResponseFields& fields,
                                                const ResponseBuffers& buffers, Allocate allocate) {
  WireReader wire(message, kMaxFields);
  ResponseParts parts;
  AttentionResponse response;
  if (!ReadResponse(wire, fields, parts, response) || !parts.output.has_value()) {
    return UndecodableError();
  }
  std::optional<Tensor> output;
  absl::Status status = MakeTensor(wire, "output", parts.output, buffers.output, allocate, output);
  if (status.ok()) {
    status =
        MakeTensor(wire, "weights", parts.weights, buffers.weights, allocate, response.weights);
  }
  if (status.ok()) {
    status = MakeTensor(wire, "log_sum_exp", parts.log_sum_exp, buffers.log_sum_exp, allocate,
                        response.log_sum_exp);
  }
  if (!status.ok()) return status;
  response.output = *std::move(output);
  return response;
}

}  // namespace

std::shared_ptr<void> AllocateAligned(size_t size_bytes) {
  constexpr size_t kAlignment = 64;
  const size_t rounded = (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* data = std::aligned_alloc(kAlignment, std::max(rounded, kAlignment));
  if (data == nullptr) return nullptr;
  return std::shared_ptr<void>(data, &std::free);
}

absl::StatusOr<AttentionResponse> Decode(const grpc::ByteBuffer& message,
                                         const ResponseFields& fields,
                                         const ResponseBuffers& buffers, Allocate allocate) {
  const std::optional<WireBytes> bytes = ReceivedBytes(message);
  return bytes.has_value() ? Decode(*bytes, fields, buffers, allocate) : UndecodableError();
}

absl::StatusOr<AttentionResponse> Decode(const WireBytes& message, const ResponseFields& fields,
                                         const ResponseBuffers& buffers, Allocate allocate) {
  // On the client's thread an exception would end the user's program.
  try {
    return DecodeOrThrow(message, fields, buffers, allocate);
  } catch (const std::bad_alloc&) {
    return OutOfMemoryError();
  }
}

}  // namespace attend::client::internal
