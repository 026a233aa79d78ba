// SPDX-License-Identifier: Apache-2.0
#include "server/services/layer_service.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/weights/load.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/codec/utf8.h"

namespace attend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LayerServiceTest : public testing::Test {
 protected:
  void Fill(int count) {
    for (int i = 0; i < count; ++i) {
      RandomLayerSpec spec;
      spec.name = absl::StrCat("m/", i);
      spec.embed_dim = 8;
      spec.num_heads = 2;
      auto layer = MakeRandomLayer(spec);
      ASSERT_TRUE(layer.ok()) << layer.status();
      ASSERT_TRUE(layers_.Add(*std::move(layer)).ok());
    }
  }

  std::vector<std::string> Page(int size, std::string& token) {
    v1::ListLayersRequest request;
    request.set_page_size(size);
    request.set_page_token(token);
    v1::ListLayersResponse response;
    const absl::Status status = ListLayers(layers_, request, response);
    EXPECT_TRUE(status.ok()) << status;
    token = response.next_page_token();
    std::vector<std::string> names;
    for (const v1::LayerInfo& layer : response.layers()) names.push_back(layer.name());
    return names;
  }

  LayerRegistry layers_;
};

TEST_F(LayerServiceTest, ListsNothingWhereThereIsNothing) {
  std::string token;
  EXPECT_TRUE(Page(0, token).empty());
  EXPECT_EQ(token, "");
}

TEST_F(LayerServiceTest, ListsInPagesUntilTheTokenIsEmpty) {
  Fill(5);
  std::string token;
  EXPECT_THAT(Page(2, token), ElementsAre("m/0", "m/1"));
  EXPECT_THAT(Page(2, token), ElementsAre("m/2", "m/3"));
  EXPECT_THAT(Page(2, token), ElementsAre("m/4"));
  EXPECT_EQ(token, "");
}

// Symptom: m/10 came before m/2.
TEST_F(LayerServiceTest, ListsInTheNaturalOrderOfNames) {
  Fill(12);
  std::string token;
  EXPECT_THAT(Page(4, token), ElementsAre("m/0", "m/1", "m/2", "m/3"));
  EXPECT_THAT(Page(6, token), ElementsAre("m/4", "m/5", "m/6", "m/7", "m/8", "m/9"));
  EXPECT_THAT(Page(6, token), ElementsAre("m/10", "m/11"));
  EXPECT_EQ(token, "");
}

TEST_F(LayerServiceTest, GivesNoTokenWhereThePageEndsWithTheList) {
  Fill(2);
  std::string token;
  EXPECT_THAT(Page(2, token), ElementsAre("m/0", "m/1"));
  EXPECT_EQ(token, "");
}

TEST_F(LayerServiceTest, TakesASizeOfZeroAsOneHundred) {
  Fill(101);
  std::string token;
  EXPECT_EQ(Page(0, token).size(), 100u);
  EXPECT_NE(token, "");
}

TEST_F(LayerServiceTest, TakesMoreThanAThousandAsAThousand) {
  Fill(3);
  std::string token;
  EXPECT_EQ(Page(1'000'000, token).size(), 3u);
}

TEST_F(LayerServiceTest, RefusesANegativeSizeAndForeignTokens) {
  Fill(2);
  v1::ListLayersRequest request;
  v1::ListLayersResponse response;
  request.set_page_size(-1);
  EXPECT_EQ(GetErrorInfo(ListLayers(layers_, request, response)).field, "page_size");
  request.set_page_size(0);
  for (const char* token : {"m/0", "after:none", "x"}) {
    request.set_page_token(token);
    const absl::Status status = ListLayers(layers_, request, response);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(GetErrorInfo(status).field, "page_token");
  }
}

TEST_F(LayerServiceTest, DescribesALayer) {
  Fill(1);
  v1::GetLayerRequest request;
  request.set_name("m/0");
  v1::LayerInfo info;
  ASSERT_TRUE(GetLayer(layers_, request, info).ok());
  EXPECT_EQ(info.embed_dim(), 8);
  EXPECT_EQ(info.num_heads(), 2);
  EXPECT_EQ(info.num_kv_heads(), 2);
  EXPECT_EQ(info.head_dim(), 4);
  EXPECT_EQ(info.value_head_dim(), 4);
  EXPECT_FLOAT_EQ(info.scale(), 0.5f);
  EXPECT_EQ(info.compute_type(), v1::DATA_TYPE_FLOAT32);
  EXPECT_EQ(info.sha256().size(), 64u);
  EXPECT_GE(info.parameter_count(), 4 * 8 * 8);
  EXPECT_FALSE(info.has_model_place()) << "the layer is random";
}

TEST_F(LayerServiceTest, AnswersAnUnknownNameWithNotFound) {
  v1::GetLayerRequest request;
  request.set_name(std::string(100'000, 'x'));
  v1::LayerInfo info;
  const absl::Status status = GetLayer(layers_, request, info);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_LT(status.message().size(), 300u) << "it goes back in a header";
}

TEST_F(LayerServiceTest, AnswersAnUnknownNameInUtf8WhereverItIsCut) {
  std::string name = "a";
  for (int i = 0; i < 120; ++i) name += "\u00e9";
  v1::GetLayerRequest request;
  request.set_name(name);
  v1::LayerInfo info;
  const absl::Status status = GetLayer(layers_, request, info);
  EXPECT_TRUE(IsValidUtf8(status.message()));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no layer is named \"a\\xc3\\xa9"));
}

}  // namespace
}  // namespace attend
