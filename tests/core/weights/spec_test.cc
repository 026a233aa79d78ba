#include "core/weights/load.h"
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
  const auto spec = ParseModelSpec("m=C:/x.safetensors:num_heads=12,compute=bf16");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->path, "C:/x.safetensors");
  EXPECT_EQ(spec->num_heads, 12);
  EXPECT_EQ(spec->compute, ComputeType::kBFloat16);
  EXPECT_EQ(ParseModelSpec("m=/a:b")->path, "/a:b");
}

TEST(ParseModelSpec, NamesThePartThatIsWrong) {
  const auto refusal = [](const char* text) {
    return std::string(ParseModelSpec(text).status().message());
  };
  EXPECT_THAT(refusal("/path"), HasSubstr("must be NAME=PATH"));
  EXPECT_THAT(refusal("=/path"), HasSubstr("name \"\""));
  EXPECT_THAT(refusal("a b=/path"), HasSubstr("name \"a b\""));
  EXPECT_THAT(refusal("a/=/path"), HasSubstr("name \"a/\""));
  EXPECT_THAT(refusal("m="), HasSubstr("the path is empty"));
  EXPECT_THAT(refusal("m=:num_heads=2"), HasSubstr("the path is empty"));
  EXPECT_THAT(refusal("m=/p:heads=2"),
              HasSubstr("unknown option \"heads\"; allowed are compute, num_heads"));
  EXPECT_THAT(refusal("m=/p:num_heads=0"), HasSubstr("num_heads=\"0\": must be a positive"));
  EXPECT_THAT(refusal("m=/p:num_heads=2x"), HasSubstr("num_heads=\"2x\""));
  EXPECT_THAT(refusal("m=/p:num_heads=2,num_heads=2"), HasSubstr("is given twice"));
  EXPECT_THAT(refusal("m=/p:compute=int8"), HasSubstr("must be f32 or bf16"));
}

TEST(ParseRandomLayerSpec, TakesEveryOption) {
  const auto spec = ParseRandomLayerSpec(
      "r:embed_dim=768,num_heads=12,num_kv_heads=4,head_dim=32,seed=18446744073709551615,"
      "compute=f32");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "r");
  EXPECT_EQ(spec->embed_dim, 768);
  EXPECT_EQ(spec->num_heads, 12);
  EXPECT_EQ(spec->num_kv_heads, 4);
  EXPECT_EQ(spec->head_dim, 32);
  EXPECT_EQ(spec->seed, 18446744073709551615u);
  EXPECT_EQ(ParseRandomLayerSpec("r:embed_dim=8,num_heads=2")->seed, 1u);
}

TEST(ParseRandomLayerSpec, NamesThePartThatIsWrong) {
  const auto refusal = [](const char* text) {
    return std::string(ParseRandomLayerSpec(text).status().message());
  };
  EXPECT_THAT(refusal("r"), HasSubstr("must be NAME:embed_dim=768"));
  EXPECT_THAT(refusal(":embed_dim=8,num_heads=2"), HasSubstr("name \"\""));
  EXPECT_THAT(refusal("r:num_heads=2"), HasSubstr("embed_dim is needed"));
  EXPECT_THAT(refusal("r:embed_dim=8"), HasSubstr("num_heads is needed"));
  EXPECT_THAT(refusal("r:embed_dim=8,num_heads=2,x=1"), HasSubstr("unknown option \"x\""));
  EXPECT_THAT(refusal("r:embed_dim=-8,num_heads=2"), HasSubstr("embed_dim=\"-8\""));
  EXPECT_THAT(refusal("r:embed_dim=8,num_heads=2,seed=-1"), HasSubstr("seed=\"-1\""));
}

}  // namespace
}  // namespace attend
