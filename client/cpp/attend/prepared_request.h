// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_ATTEND_PREPARED_REQUEST_H_
#define ATTEND_CLIENT_CPP_ATTEND_PREPARED_REQUEST_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "attend/attention.h"

namespace attend::client {

namespace internal {
class GrpcClient;
class GrpcPipeline;
struct Prepared;
}  // namespace internal

// A request in its wire form, to be sent any number of times, also by several
// threads at once and by several clients. Cheap to copy.
class PreparedRequest {
 public:
  // Copies the tensors that have no owner. INVALID_ARGUMENT, with the field's
  // name, where a tensor does not fit its shape or the message would pass
  // protobuf's limit of 2 GiB.
  static absl::StatusOr<PreparedRequest> Create(const MultiHeadAttentionRequest& request);
  static absl::StatusOr<PreparedRequest> Create(const ScaledDotProductAttentionRequest& request);

  // No request: sending it is INVALID_ARGUMENT.
  PreparedRequest() = default;

  size_t size_bytes() const;

 private:
  friend class internal::GrpcClient;
  friend class internal::GrpcPipeline;
  explicit PreparedRequest(std::shared_ptr<const internal::Prepared> prepared);

  std::shared_ptr<const internal::Prepared> prepared_;
};

}  // namespace attend::client

#endif  // ATTEND_CLIENT_CPP_ATTEND_PREPARED_REQUEST_H_
