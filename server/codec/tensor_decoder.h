// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_CODEC_TENSOR_DECODER_H_
#define ATTEND_SERVER_CODEC_TENSOR_DECODER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/tensor/tensor.h"
#include "proto/wire/reader.h"
#include "server/codec/fields.h"

namespace attend {

// What the wire says of an attend.v1.Tensor. Its data stay where they are until
// the whole message was read: shape and data come in any order, and a later
// occurrence of the field may still replace them.
struct TensorParts {
  int data_type = 0;
  std::vector<int64_t> shape;
  WireSpan data;
};

enum class UnknownFields { kSkip, kRefuse };

// Reads one occurrence of a tensor's field into `tensor`, which may hold earlier
// ones: they are merged as protobuf merges messages.
absl::Status ReadTensor(WireReader& wire, const FieldPath& path, WireTag tag, UnknownFields unknown,
                        std::optional<TensorParts>& tensor);

// The tensor, with its one copy of the data. Checks the type and that the
// shape's size is the data's before it allocates; the bytes of a BOOL are the
// engine's to check. INVALID_ARGUMENT that names the field.
absl::StatusOr<Tensor> MakeTensor(const WireReader& wire, const FieldPath& path,
                                  const TensorParts& parts);

// The same for a tensor that may be absent, and for one that may not: INVALID_ARGUMENT (reason
// MISSING_FIELD) then.
absl::StatusOr<std::optional<Tensor>> MakeOptional(const WireReader& wire, const FieldPath& path,
                                                   const std::optional<TensorParts>& parts);
absl::StatusOr<Tensor> MakeRequired(const WireReader& wire, const FieldPath& path,
                                    const std::optional<TensorParts>& parts);

}  // namespace attend

#endif  // ATTEND_SERVER_CODEC_TENSOR_DECODER_H_
