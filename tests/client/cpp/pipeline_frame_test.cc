// SPDX-License-Identifier: Apache-2.0

// Against the generated classes, which are not ours.
#include "client/cpp/pipeline_frame.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "attend/attention.h"
#include "attend/v1/attention.pb.h"
#include "tests/client/cpp/wire_bytes.h"
#include "tests/support/byte_buffers.h"

namespace attend::client::internal {
namespace {

TEST(PipelineFrameTest, ARequestIsReadByTheGeneratedClass) {
  const std::vector<float> rows = {1, 2, 3, 4, 5, 6};
  MultiHeadAttentionRequest layer;
  layer.layer = "l0";
  layer.query = {rows, {1, 3, 2}};
  ScaledDotProductAttentionRequest bare;
  bare.query = bare.key = bare.value = {rows, {1, 3, 1, 2}};
  const uint64_t ids[] = {0, 1, 1ull << 63, std::numeric_limits<uint64_t>::max()};
  for (const uint64_t id : ids) {
    v1::PipelineRequest request;
    ASSERT_TRUE(request.ParseFromString(
        Flatten(EncodePipelineRequest(id, absl::Milliseconds(1500), *Encode(layer)))));
    EXPECT_EQ(request.id(), id);
    EXPECT_EQ(request.timeout().seconds(), 1);
    EXPECT_EQ(request.timeout().nanos(), 500'000'000);
    EXPECT_EQ(request.multi_head_attention().layer(), "l0");
    EXPECT_EQ(request.multi_head_attention().query().data().size(), 24u);

    ASSERT_TRUE(request.ParseFromString(
        Flatten(EncodePipelineRequest(id, absl::ZeroDuration(), *Encode(bare)))));
    EXPECT_TRUE(request.has_timeout());  // without one it would be the server's longest
    EXPECT_EQ(request.timeout().seconds(), 0);
    EXPECT_EQ(request.scaled_dot_product_attention().value().data().size(), 24u);

    ASSERT_TRUE(request.ParseFromString(Flatten(EncodePipelineCancel(id))));
    EXPECT_EQ(request.id(), id);
    EXPECT_TRUE(request.has_cancel());
  }
}

TEST(PipelineFrameTest, AnswersOfTheGeneratedClassAreReadHoweverTheyAreCut) {
  v1::PipelineResponse result;
  result.set_id(std::numeric_limits<uint64_t>::max());
  result.mutable_multi_head_attention()->set_layer_sha256("abc");
  v1::PipelineResponse failed;
  failed.set_id(7);
  failed.mutable_status()->set_code(8);
  failed.mutable_status()->set_message("busy");
  google::protobuf::Any& info = *failed.mutable_status()->add_details();
  info.set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  info.set_value(BytesField(1, "QUEUE_FULL") + BytesField(2, "attend") +
                 BytesField(3, BytesField(1, "field") + BytesField(2, "query")));
  google::protobuf::Any& retry = *failed.mutable_status()->add_details();
  retry.set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  retry.set_value(BytesField(1, VarintField(1, 2) + VarintField(2, 5'000'000)));
  for (const size_t size : {1, 2, 3, 7, 1000}) {
    PipelineAnswer answer;
    const grpc::ByteBuffer message = Split(result.SerializeAsString(), size);
    ASSERT_TRUE(ReadPipelineAnswer(message, answer));
    EXPECT_EQ(answer.id, result.id());
    EXPECT_EQ(answer.error, absl::OkStatus());
    EXPECT_EQ(answer.field, kMultiHeadAttentionFields.in_pipeline_response);
    std::string body(answer.body.size(), '\0');
    answer.body.Copy(answer.body.span(), body.data());
    EXPECT_EQ(body, result.multi_head_attention().SerializeAsString());

    PipelineAnswer error;
    ASSERT_TRUE(ReadPipelineAnswer(Split(failed.SerializeAsString(), size), error));
    EXPECT_EQ(error.id, 7u);
    EXPECT_EQ(error.error, absl::ResourceExhaustedError("busy"));
    EXPECT_EQ(error.details.reason, "QUEUE_FULL");
    EXPECT_EQ(error.details.domain, "attend");
    EXPECT_EQ(error.details.field, "query");
    EXPECT_EQ(error.details.pushback, absl::Milliseconds(2005));
  }
}

TEST(PipelineFrameTest, WhatIsNoAnswerIsNotRead) {
  const std::string result = BytesField(2, ""), code = VarintField(1, 3);
  const std::pair<const char*, std::string> cases[] = {
      {"nothing", ""},
      {"an id alone", VarintField(1, 1)},
      {"noise", std::string(1000, '\xff')},
      {"two results", result + BytesField(3, "")},
      {"the same result twice", result + result},
      {"a result and a status", result + BytesField(4, code)},
      {"a status that is OK", BytesField(4, VarintField(1, 0))},
      {"a status without a code", BytesField(4, BytesField(2, "text"))},
      {"a status that is none", BytesField(4, "\xff\xff")},
      {"a status of a megabyte", BytesField(4, code + BytesField(2, std::string(1 << 20, 'a')))},
      {"details that are none", BytesField(4, code + BytesField(3, "\xff"))},
      {"a length of 4 GiB", std::string("\x12\xff\xff\xff\xff\x0f")},
      {"a number in place of a result", VarintField(2, 1)},
      {"groups in groups", result + std::string(1 << 16, '\x3b')},
  };
  for (const auto& [what, bytes] : cases) {
    PipelineAnswer answer;
    EXPECT_FALSE(ReadPipelineAnswer(Split(bytes, 64), answer)) << what;
  }
  PipelineAnswer answer;
  EXPECT_FALSE(ReadPipelineAnswer(grpc::ByteBuffer(), answer));
  // What a newer server may add is skipped.
  EXPECT_TRUE(
      ReadPipelineAnswer(Split(result + BytesField(99, "new") + VarintField(98, 1), 64), answer));
}

TEST(PipelineFrameTest, AnErrorOfAnUnknownCodeOrWithBrokenDetailsIsStillAnError) {
  PipelineAnswer answer;
  ASSERT_TRUE(ReadPipelineAnswer(Split(BytesField(4, VarintField(1, 99)), 64), answer));
  EXPECT_EQ(answer.error.code(), absl::StatusCode::kUnknown);
  const std::string any = BytesField(1, "type.googleapis.com/google.rpc.ErrorInfo") +
                          BytesField(2, std::string(10, '\xff'));
  const std::string retry = BytesField(1, "type.googleapis.com/google.rpc.RetryInfo") +
                            BytesField(2, std::string(10, '\xff'));
  answer = {};
  ASSERT_TRUE(ReadPipelineAnswer(
      Split(BytesField(4, VarintField(1, 3) + BytesField(3, any) + BytesField(3, retry)), 64),
      answer));
  EXPECT_EQ(answer.error.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(answer.details.reason, "");
  EXPECT_FALSE(answer.details.pushback.has_value());
}

}  // namespace
}  // namespace attend::client::internal
