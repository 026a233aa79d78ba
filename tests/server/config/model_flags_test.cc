// SPDX-License-Identifier: Apache-2.0
#include "server/config/model_flags.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::HasSubstr;

TEST(ParseModelSpec, TakesNameAndPath) {
  const auto spec = ParseModelSpec("mini-lm/v2=/data/a=b/model");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "mini-lm/v2");
  EXPECT_EQ(spec->path, "/data/a=b/model");
  EXPECT_EQ(spec->num_heads, 0);
  EXPECT_EQ(spec->compute, ComputeType::kFloat32);
}

TEST(ParseModelSpec, TakesOptionsAfterTheLastColon) {
  const auto spec = ParseModelSpec("m=C:/x.safetensors:num_heads=12,compute=bf16,matmul=panels");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->path, "C:/x.safetensors");
  EXPECT_EQ(spec->num_heads, 12);
  EXPECT_EQ(spec->compute, ComputeType::kBFloat16);
  EXPECT_EQ(spec->matmul, MatmulChoice::kPanels);
  EXPECT_EQ(ParseModelSpec("m=/a:b")->path, "/a:b");
  EXPECT_EQ(ParseModelSpec("m=/a:b")->matmul, std::nullopt);
}

TEST(ParseModelSpec, NamesThePartThatIsWrong) {
  const auto refusal = [](const char* text) {
    return std::string(ParseModelSpec(text).status().message());
  };
  EXPECT_THAT(refusal("/path"), HasSubstr("must be NAME=PATH"));
  EXPECT_THAT(refusal("=/path"), HasSubstr("name is \"\""));
  EXPECT_THAT(refusal("a b=/path"), HasSubstr("name is \"a b\""));
  EXPECT_THAT(refusal("a/=/path"), HasSubstr("name is \"a/\""));
  EXPECT_THAT(refusal("m="), HasSubstr("the path is empty"));
  EXPECT_THAT(refusal("m=:num_heads=2"), HasSubstr("the path is empty"));
  EXPECT_THAT(
      refusal("m=/p:heads=2"),
      HasSubstr("option \"heads\" is not known; the known ones are compute, matmul, num_heads"));
  EXPECT_THAT(refusal("m=/p:num_heads=0"), HasSubstr("num_heads is \"0\", but must be a positive"));
  EXPECT_THAT(refusal("m=/p:num_heads=2x"), HasSubstr("num_heads is \"2x\""));
  EXPECT_THAT(refusal("m=/p:num_heads=2,num_heads=2"), HasSubstr("is given twice"));
  EXPECT_THAT(refusal("m=/p:compute=int8"), HasSubstr("must be f32 or bf16"));
  EXPECT_THAT(refusal("m=/p:matmul=mkl"),
              HasSubstr("matmul is \"mkl\", but must be auto, onednn or panels"));
}

TEST(ParseRandomLayerSpec, TakesEveryOption) {
  const auto spec = ParseRandomLayerSpec(
      "r:embed_dim=768,num_heads=12,num_kv_heads=4,head_dim=32,seed=18446744073709551615,"
      "compute=f32,matmul=onednn");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "r");
  EXPECT_EQ(spec->embed_dim, 768);
  EXPECT_EQ(spec->num_heads, 12);
  EXPECT_EQ(spec->num_kv_heads, 4);
  EXPECT_EQ(spec->head_dim, 32);
  EXPECT_EQ(spec->seed, 18446744073709551615u);
  EXPECT_EQ(spec->matmul, MatmulChoice::kOneDnn);
  EXPECT_EQ(ParseRandomLayerSpec("r:embed_dim=8,num_heads=2")->seed, 1u);
}

TEST(ParseRandomLayerSpec, TakesTheSettingsOfFamilies) {
  const auto spec = ParseRandomLayerSpec(
      "r:embed_dim=64,num_heads=2,scale=1,softcap=2.5,window_left=0,window_right=7,qk_norm=on,"
      "rotary_dim=8,rotary_theta=5e5,rotary_interleaved=on,relative_buckets=32,"
      "relative_max_distance=64");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->scale, 1.0f);
  EXPECT_EQ(spec->softcap, 2.5f);
  EXPECT_EQ(spec->window_left, 0);
  EXPECT_EQ(spec->window_right, 7);
  EXPECT_TRUE(spec->qk_norm);
  EXPECT_EQ(spec->rotary->dim, 8);
  EXPECT_EQ(spec->rotary->theta, 5e5);
  EXPECT_TRUE(spec->rotary->interleaved);
  EXPECT_EQ(spec->relative_buckets, 32);
  EXPECT_EQ(spec->relative_max_distance, 64);

  const auto theta = ParseRandomLayerSpec("r:embed_dim=64,num_heads=2,rotary_theta=100");
  ASSERT_TRUE(theta.ok()) << theta.status();
  EXPECT_EQ(theta->rotary->dim, 0);
  EXPECT_FALSE(theta->rotary->interleaved);
  const auto plain = ParseRandomLayerSpec("r:embed_dim=64,num_heads=2,qk_norm=off");
  EXPECT_FALSE(plain->rotary.has_value() || plain->window_left.has_value() || plain->qk_norm);
}

TEST(ParseRandomLayerSpec, NamesThePartThatIsWrong) {
  const auto refusal = [](const char* text) {
    return std::string(ParseRandomLayerSpec(text).status().message());
  };
  EXPECT_THAT(refusal("r"), HasSubstr("must be NAME:OPTIONS, such as NAME:embed_dim=768"));
  EXPECT_THAT(refusal(":embed_dim=8,num_heads=2"), HasSubstr("name is \"\""));
  EXPECT_THAT(refusal("r:num_heads=2"), HasSubstr("embed_dim is required"));
  EXPECT_THAT(refusal("r:embed_dim=8"), HasSubstr("num_heads is required"));
  EXPECT_THAT(refusal("r:embed_dim=8,num_heads=2,x=1"), HasSubstr("option \"x\" is not known"));
  EXPECT_THAT(refusal("r:embed_dim=-8,num_heads=2"), HasSubstr("embed_dim is \"-8\""));
  EXPECT_THAT(refusal("r:embed_dim=8,num_heads=2,seed=-1"), HasSubstr("seed is \"-1\""));
  const auto setting = [&](const char* text) {
    return refusal((std::string("r:embed_dim=8,num_heads=2,") + text).c_str());
  };
  EXPECT_THAT(setting("matmul=on"), HasSubstr("matmul is \"on\", but must be auto, onednn"));
  EXPECT_THAT(setting("softcap=0"), HasSubstr("softcap is \"0\", but must be a positive number"));
  EXPECT_THAT(setting("softcap=1e-60"), HasSubstr("must be a positive number"));
  EXPECT_THAT(setting("scale=1e60"), HasSubstr("must be a positive number"));
  EXPECT_THAT(setting("scale=nan"), HasSubstr("must be a positive number"));
  EXPECT_THAT(setting("window_left=-1"), HasSubstr("must be a non-negative integer"));
  EXPECT_THAT(setting("qk_norm=1"), HasSubstr("qk_norm is \"1\", but must be on or off"));
  EXPECT_THAT(setting("rotary_dim=0"),
              HasSubstr("rotary_dim is \"0\", but must be a positive integer"));
  EXPECT_THAT(setting("rotary_theta=x"), HasSubstr("rotary_theta is \"x\""));
  EXPECT_THAT(setting("relative_max_distance=5"), HasSubstr("requires relative_buckets"));
}

TEST(FormatModelSpec, GivesATextThatParsesToTheSameSpec) {
  EXPECT_EQ(FormatModelSpec(*ParseModelSpec("m=/a:b")), "m=/a:b:compute=f32");
  EXPECT_EQ(FormatModelSpec(*ParseModelSpec("m=/a:b:compute=f32")), "m=/a:b:compute=f32");
  EXPECT_EQ(FormatModelSpec(*ParseModelSpec("m=/a:compute=bf16,num_heads=2")),
            "m=/a:num_heads=2,compute=bf16");
}

TEST(FormatRandomLayerSpec, GivesATextThatParsesToTheSameSpec) {
  for (const std::string text :
       {"r:embed_dim=8,num_heads=2,seed=1,compute=f32",
        "r:embed_dim=64,num_heads=2,num_kv_heads=1,head_dim=32,seed=18446744073709551615,"
        "compute=bf16,scale=0.100000001,softcap=2.5,window_left=0,window_right=7,qk_norm=on,"
        "rotary_dim=8,rotary_theta=500000,rotary_interleaved=on,relative_buckets=32,"
        "relative_max_distance=64"}) {
    const auto spec = ParseRandomLayerSpec(text);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(FormatRandomLayerSpec(*spec), text);
  }
}

}  // namespace
}  // namespace attend
