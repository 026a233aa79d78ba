// SPDX-License-Identifier: Apache-2.0
#include "attend/prepared_request.h"

#include <utility>

#include "client/cpp/codec.h"

namespace attend::client {
namespace {

template <typename Request>
absl::StatusOr<std::shared_ptr<const internal::Prepared>> Prepare(const Request& request) {
  absl::StatusOr<internal::Prepared> prepared = internal::Encode(request);
  if (!prepared.ok()) return prepared.status();
  return std::make_shared<const internal::Prepared>(*std::move(prepared));
}

}  // namespace

PreparedRequest::PreparedRequest(std::shared_ptr<const internal::Prepared> prepared)
    : prepared_(std::move(prepared)) {}

absl::StatusOr<PreparedRequest> PreparedRequest::Create(const MultiHeadAttentionRequest& request) {
  auto prepared = Prepare(request);
  if (!prepared.ok()) return prepared.status();
  return PreparedRequest(*std::move(prepared));
}

absl::StatusOr<PreparedRequest> PreparedRequest::Create(
    const ScaledDotProductAttentionRequest& request) {
  auto prepared = Prepare(request);
  if (!prepared.ok()) return prepared.status();
  return PreparedRequest(*std::move(prepared));
}

size_t PreparedRequest::size_bytes() const {
  return prepared_ == nullptr ? 0 : prepared_->message.Length();
}

}  // namespace attend::client
