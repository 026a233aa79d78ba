// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SUPPORT_BYTE_BUFFERS_H_
#define ATTEND_TESTS_SUPPORT_BYTE_BUFFERS_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace attend {

// The bytes of a message.
inline std::string Flatten(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// Divides bytes into slices of `size` bytes, as they may arrive from the network.
inline grpc::ByteBuffer Split(const std::string& bytes, size_t size) {
  std::vector<grpc::Slice> slices;
  for (size_t i = 0; i < bytes.size(); i += size) {
    slices.emplace_back(bytes.data() + i, std::min(size, bytes.size() - i));
  }
  return {slices.data(), slices.size()};
}

}  // namespace attend

#endif  // ATTEND_TESTS_SUPPORT_BYTE_BUFFERS_H_
