// SPDX-License-Identifier: Apache-2.0

// The details of an error and a health answer, as the client reads them from a server that it need
// not trust.

#include <string>

#include "client/cpp/codec.h"
#include "client/cpp/status.h"
#include "grpcpp/support/slice.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attend::client;
  ErrorDetails details;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  internal::ReadErrorInfo(bytes, &details);
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer buffer(&slice, 1);
  const auto health = internal::DecodeHealth(buffer);
  if (!health.ok() && !absl::IsDataLoss(health.status())) __builtin_trap();
  return 0;
}
