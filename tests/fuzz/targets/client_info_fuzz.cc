// SPDX-License-Identifier: Apache-2.0

// Lists of layers and facts of a server, as the client reads them from a server that it need not
// trust: protobuf's own classes parse them once the client has counted their fields. The first byte
// chooses the message.

#include <string>

#include "attend/v1/layer.pb.h"
#include "attend/v1/server.pb.h"
#include "client/cpp/codec.h"
#include "grpcpp/support/slice.h"
#include "tests/fuzz/targets/fuzz_input.h"

namespace attend::client::internal {
namespace {

template <typename Proto>
void Check(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  grpc::ByteBuffer buffer(&slice, 1);
  Proto message;
  const absl::Status status = DecodeMessage(buffer, message);
  Proto proto;
  Require(status.ok() == proto.ParseFromString(bytes), "the client reads what protobuf parses",
          status.ToString());
  if (!status.ok()) {
    Require(absl::IsDataLoss(status), "bytes that are no such message are DATA_LOSS",
            status.ToString());
    return;
  }
  Require(message.SerializeAsString() == proto.SerializeAsString(), "the message is protobuf's",
          message.DebugString());
}

}  // namespace
}  // namespace attend::client::internal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attend::client::internal;
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      Check<attend::v1::ListLayersResponse>(bytes);
      break;
    case 1:
      Check<attend::v1::LayerInfo>(bytes);
      break;
    default:
      Check<attend::v1::ServerInfo>(bytes);
  }
  return 0;
}
