// SPDX-License-Identifier: Apache-2.0
#include "server/codec/tensor_decoder.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "attend/v1/tensor.pb.h"

namespace attend {
namespace {

// More axes than any operand has; a bound for what a hostile shape may hold.
constexpr size_t kMaxRank = 8;

absl::StatusOr<DataType> DecodeDataType(const FieldPath& tensor, int value) {
  switch (value) {
    case v1::DATA_TYPE_FLOAT32:
      return DataType::kFloat32;
    case v1::DATA_TYPE_BFLOAT16:
      return DataType::kBFloat16;
    case v1::DATA_TYPE_FLOAT16:
      return DataType::kFloat16;
    case v1::DATA_TYPE_BOOL:
      return DataType::kBool;
    default:
      break;
  }
  const std::string field = FieldPath{&tensor, "data_type"}.ToString();
  if (value == v1::DATA_TYPE_UNSPECIFIED) {
    return InvalidField(field, "is missing; FLOAT32, BFLOAT16, FLOAT16 and BOOL are known",
                        "MISSING_FIELD");
  }
  return InvalidField(field, absl::StrCat("has the unknown value ", value), "UNKNOWN_ENUM_VALUE");
}

}  // namespace

absl::Status ReadTensor(WireReader& wire, const FieldPath& path, WireTag tag, UnknownFields unknown,
                        TensorParts& parts) {
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

}  // namespace attend
