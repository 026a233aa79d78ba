// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_TENSOR_CONVERT_H_
#define ATTEND_CORE_TENSOR_CONVERT_H_

#include <cstddef>
#include <cstdint>

#include "core/tensor/tensor.h"

namespace attend {

// Conversions between float types. Widening is exact; narrowing rounds to nearest, ties to even,
// overflow to infinity. NaN stays NaN. Thread-safe.

float BFloat16ToFloat(uint16_t bits);
uint16_t FloatToBFloat16(float value);
float Float16ToFloat(uint16_t bits);
uint16_t FloatToFloat16(float value);

// One element of any float type (not kBool), by index.
float LoadFloat(DataType type, const std::byte* data, int64_t index);

// n elements; source and destination must not overlap and need no alignment
// beyond their elements'. Types are float types.
void ConvertToFloat(DataType type, const std::byte* source, float* destination, int64_t n);
void ConvertFromFloat(const float* source, DataType type, std::byte* destination, int64_t n);

// Converts any float type to any other, through float32; a plain copy if they are the same.
void ConvertFloats(DataType from, const std::byte* source, DataType to, std::byte* destination,
                   int64_t n);

}  // namespace attend

#endif  // ATTEND_CORE_TENSOR_CONVERT_H_
