// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CLIENT_CPP_WIRE_BYTES_H_
#define ATTEND_TESTS_CLIENT_CPP_WIRE_BYTES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace attend::client {

// Protobuf's encoding by hand, for messages that no generated class would write.

inline std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

inline std::string VarintField(int field, uint64_t value) {
  return Varint(static_cast<uint64_t>(field) << 3) + Varint(value);
}

inline std::string BytesField(int field, const std::string& bytes) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(bytes.size()) + bytes;
}

// An attend.v1.Tensor of FLOAT32 zeros with any shape.
inline std::string FloatTensor(const std::vector<uint64_t>& shape, size_t elements) {
  std::string axes;
  for (const uint64_t size : shape) axes += Varint(size);
  return VarintField(1, 1) + BytesField(2, axes) +
         BytesField(3, std::string(elements * sizeof(float), '\0'));
}

}  // namespace attend::client

#endif  // ATTEND_TESTS_CLIENT_CPP_WIRE_BYTES_H_
