// SPDX-License-Identifier: Apache-2.0
#include "client/cli/json.h"

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "attend/v1/layer.pb.h"
#include "attend/v1/server.pb.h"

namespace attend::cli {
namespace {

using nlohmann::ordered_json;

v1::LayerInfo Layer() {
  v1::LayerInfo layer;
  layer.set_name("l\u00fc");
  layer.set_embed_dim(int64_t{1} << 53);
  layer.set_scale(0.1f);
  layer.add_pruned_heads(3);
  layer.add_pruned_heads(-1);
  layer.set_window_left(0);
  layer.set_compute_type(v1::DATA_TYPE_BFLOAT16);
  layer.mutable_rotary()->set_width(64);
  return layer;
}

TEST(JsonTest, Int64IsANumber) {
  const ordered_json json = *ToJson(Layer());
  EXPECT_EQ(json["embed_dim"].dump(), "9007199254740992");
  EXPECT_EQ(json["pruned_heads"].dump(), "[3,-1]");
  EXPECT_EQ(json["rotary"]["width"].dump(), "64");
}

TEST(JsonTest, AllElseIsAsInTheMappingOfProtobuf) {
  const ordered_json json = *ToJson(Layer());
  EXPECT_EQ(json["name"], "l\u00fc");
  EXPECT_EQ(json["compute_type"], "DATA_TYPE_BFLOAT16");
  EXPECT_EQ(json["scale"].dump(), "0.1");
  EXPECT_EQ(json["num_heads"].dump(), "0") << "not set, but not optional";
  EXPECT_EQ(json["window_left"].dump(), "0") << "optional and set";
  EXPECT_FALSE(json.contains("window_right")) << "optional and not set";
  v1::ServerInfo info;
  info.mutable_start_time()->set_seconds(1'700'000'000);
  EXPECT_EQ((*ToJson(info))["start_time"], "2023-11-14T22:13:20Z");
}

TEST(JsonTest, ProtobufReadsItBack) {
  v1::LayerInfo back;
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(FormatJson(*ToJson(Layer())), &back).ok());
  EXPECT_EQ(back.SerializeAsString(), Layer().SerializeAsString());
}

TEST(JsonTest, ATimeThatHasNoFormIsAnError) {
  v1::ServerInfo info;
  info.mutable_start_time()->set_seconds(std::numeric_limits<int64_t>::max());
  EXPECT_TRUE(absl::IsDataLoss(ToJson(info).status()));
}

TEST(JsonTest, FloatsHaveTheDigitsOfFloats) {
  EXPECT_EQ(NumberToJson(0.1f).dump(), "0.1");
  EXPECT_EQ(NumberToJson(-16777216.0f).dump(), "-16777216.0");
  EXPECT_EQ(NumberToJson(std::numeric_limits<float>::infinity()).dump(), "\"Infinity\"");
  EXPECT_EQ(NumberToJson(-std::numeric_limits<float>::infinity()).dump(), "\"-Infinity\"");
  EXPECT_EQ(NumberToJson(std::numeric_limits<float>::quiet_NaN()).dump(), "\"NaN\"");
}

TEST(JsonTest, TheTextIsAsciiWhateverItHolds) {
  EXPECT_EQ(FormatJson("\u202e\x7f\n\x9b"), "\"\\u202e\\u007f\\n\\ufffd\"\n");
}

}  // namespace
}  // namespace attend::cli
