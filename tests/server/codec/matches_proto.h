// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SERVER_CODEC_MATCHES_PROTO_H_
#define ATTEND_TESTS_SERVER_CODEC_MATCHES_PROTO_H_

#include "attend/v1/attention.pb.h"
#include "core/engine/request.h"

namespace attend {

// Whether the codec's request holds what protobuf's own parser found.
bool Matches(const MultiHeadAttentionRequest& request, const v1::MultiHeadAttentionRequest& proto);
bool Matches(const ScaledDotProductAttentionRequest& request,
             const v1::ScaledDotProductAttentionRequest& proto);
bool Matches(const Tensor& tensor, const v1::Tensor& proto);

}  // namespace attend

#endif  // ATTEND_TESTS_SERVER_CODEC_MATCHES_PROTO_H_
