// SPDX-License-Identifier: Apache-2.0
#include "server/codec/tensor_decoder.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "attend/v1/tensor.pb.h"
#include "server/codec/limits.h"

namespace attend {
namespace {

constexpr EnumValue<DataType> kDataTypes[] = {{v1::DATA_TYPE_FLOAT32, DataType::kFloat32},
                                              {v1::DATA_TYPE_BFLOAT16, DataType::kBFloat16},
                                              {v1::DATA_TYPE_FLOAT16, DataType::kFloat16},
                                              {v1::DATA_TYPE_BOOL, DataType::kBool}};

absl::StatusOr<DataType> DecodeDataType(const FieldPath& tensor, int value) {
  const FieldPath path{&tensor, "data_type"};
  if (value != v1::DATA_TYPE_UNSPECIFIED) return DecodeEnum(path, value, kDataTypes);
  return InvalidField(path.ToString(), "is missing; FLOAT32, BFLOAT16, FLOAT16 and BOOL are known",
                      "MISSING_FIELD");
}

}  // namespace

absl::Status ReadTensor(WireReader& wire, const FieldPath& path, WireTag tag, UnknownFields unknown,
                        std::optional<TensorParts>& tensor) {
  if (!tensor.has_value()) tensor.emplace();
  TensorParts& parts = *tensor;
  return ReadSubmessage(wire, path, tag, [&](WireTag field) {
    switch (field.field) {
      case v1::Tensor::kDataTypeFieldNumber:
        return ReadEnum(wire, {&path, "data_type"}, field, parts.data_type);
      case v1::Tensor::kShapeFieldNumber:
        return ReadInt64s(wire, {&path, "shape"}, field, kMaxRank, parts.shape);
      case v1::Tensor::kDataFieldNumber:
        return ReadBytes(wire, {&path, "data"}, field, parts.data);
      default:
        return unknown == UnknownFields::kRefuse ? RefuseUnknown(path, field)
                                                 : SkipUnknown(wire, path, field);
    }
  });
}

absl::StatusOr<Tensor> MakeTensor(const WireReader& wire, const FieldPath& path,
                                  const TensorParts& parts) {
  ATTEND_ASSIGN_OR_RETURN(const DataType type, DecodeDataType(path, parts.data_type));
  const absl::StatusOr<size_t> bytes = CheckedByteSize(type, parts.shape);
  if (!bytes.ok()) {
    return InvalidField(FieldPath{&path, "shape"}.ToString(), bytes.status().message());
  }
  if (*bytes != parts.data.size) {
    return InvalidField(
        FieldPath{&path, "data"}.ToString(),
        absl::StrCat("has ", parts.data.size, " bytes, but shape ", attend::ToString(parts.shape),
                     " of ", Name(type), " needs ", *bytes),
        "SHAPE_MISMATCH");
  }
  Tensor tensor(type, Shape(parts.shape.begin(), parts.shape.end()));
  wire.Copy(parts.data, tensor.data());
  return tensor;
}

absl::StatusOr<std::optional<Tensor>> MakeOptional(const WireReader& wire, const FieldPath& path,
                                                   const std::optional<TensorParts>& parts) {
  std::optional<Tensor> tensor;
  if (parts.has_value()) {
    ATTEND_ASSIGN_OR_RETURN(tensor, MakeTensor(wire, path, *parts));
  }
  return tensor;
}

absl::StatusOr<Tensor> MakeRequired(const WireReader& wire, const FieldPath& path,
                                    const std::optional<TensorParts>& parts) {
  if (parts.has_value()) return MakeTensor(wire, path, *parts);
  return InvalidField(path.ToString(), "is required and missing", "MISSING_FIELD");
}

}  // namespace attend
