// SPDX-License-Identifier: Apache-2.0
#include "core/weights/models/rotary_config.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attend {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<RotaryConfig> Read(absl::string_view model_type, const std::string& text,
                                  int64_t head_dim) {
  const absl::StatusOr<Json> json = ParseJson(text, "config.json");
  if (!json.ok()) return json.status();
  return ReadRotaryConfig(ConfigReader(*json, "config.json"), *FindModelFamily(model_type),
                          head_dim);
}

RotaryConfig Accepted(absl::string_view model_type, const std::string& text, int64_t head_dim) {
  const auto rotary = Read(model_type, text, head_dim);
  EXPECT_TRUE(rotary.ok()) << rotary.status() << " of " << text;
  return rotary.ok() ? *rotary : RotaryConfig();
}

TEST(RotaryConfig, IsReadFromOldAndNewFiles) {
  for (const char* text : {R"({"rope_theta":500.0,"rope_scaling":{"type":"linear","factor":2}})",
                           R"({"rope_parameters":{"rope_type":"linear","factor":2.0,)"
                           R"("rope_theta":500}})"}) {
    const RotaryConfig rotary = Accepted("llama", text, 6);
    EXPECT_EQ(rotary.width, 6);
    EXPECT_EQ(rotary.theta, 500.0);
    EXPECT_EQ(rotary.scaling, RotaryConfig::Scaling::kLinear);
    EXPECT_EQ(rotary.factor, 2.0);
    EXPECT_EQ(rotary.layout, RotaryConfig::Layout::kHalfSplit);
  }
  EXPECT_EQ(Accepted("llama", "{}", 6).theta, 10000.0);
  EXPECT_EQ(Accepted("llama", R"({"rope_scaling":null})", 6).scaling, RotaryConfig::Scaling::kNone);
}

// What transformers 5.23.0 reads from such files: AutoConfig.for_model(model_type, ...).
// rope_parameters["rope_theta"].
TEST(RotaryConfig, TakesAnAbsentThetaAs10000InEveryFamily) {
  int families = 0;
  for (const ModelFamily& family : ModelFamilies()) {
    if (family.rotary == ModelFamily::Rotary::kNone) continue;
    ++families;
    if (family.fixed_rotary) {
      EXPECT_EQ(Accepted(family.model_type, R"({"rotary_dim":8})", 8).theta, 10000.0);
      continue;
    }
    for (const char* text : {"{}", R"({"rope_scaling":null})", R"({"rope_theta":null})",
                             R"({"rope_scaling":{"type":"linear","factor":2}})",
                             R"({"rope_parameters":{"rope_type":"default"}})",
                             R"({"rope_parameters":{"rope_type":"linear","factor":2}})"}) {
      EXPECT_EQ(Accepted(family.model_type, text, 8).theta, 10000.0)
          << family.model_type << " " << text;
    }
    EXPECT_EQ(Accepted(family.model_type, R"({"rope_theta":5,"rope_parameters":{}})", 8).theta, 5.0)
        << family.model_type;
  }
  EXPECT_EQ(families, 7);
}

// Symptom: a key that GPT-J's model class ignores changed the layer.
TEST(RotaryConfig, RefusesKeysThatTheFamilyIgnores) {
  for (const char* key : {R"("rope_theta":500)", R"("rope_scaling":{"type":"default"})",
                          R"("rope_parameters":{"rope_theta":500})"}) {
    EXPECT_THAT(
        std::string(
            Read("gptj", absl::StrCat(R"({"rotary_dim":8,)", key, "}"), 8).status().message()),
        HasSubstr("is set, but models of type \"gptj\" always have a theta of 10000"));
  }
}

TEST(RotaryConfig, ReadsTheScalingOfLlama3) {
  const RotaryConfig rotary =
      Accepted("llama",
               R"({"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,)"
               R"("high_freq_factor":4,"original_max_position_embeddings":64}})",
               6);
  EXPECT_EQ(rotary.scaling, RotaryConfig::Scaling::kLlama3);
  EXPECT_EQ(rotary.factor, 8.0);
  EXPECT_EQ(rotary.low_frequency_factor, 1.0);
  EXPECT_EQ(rotary.high_frequency_factor, 4.0);
  EXPECT_EQ(rotary.original_max_position, 64);
}

TEST(RotaryConfig, CoversAPartOfEachHeadWhereTheFamilyDoes) {
  EXPECT_EQ(Accepted("phi", R"({"partial_rotary_factor":0.4})", 10).width, 4);
  EXPECT_EQ(Accepted("phi", "{}", 8).width, 4);
  const RotaryConfig gptj = Accepted("gptj", R"({"rotary_dim":6})", 10);
  EXPECT_EQ(gptj.width, 6);
  EXPECT_EQ(gptj.layout, RotaryConfig::Layout::kInterleaved);
}

TEST(RotaryConfig, RefusesAWidthThatIsNotEvenOrDoesNotFitTheHead) {
  const auto refusal = [](absl::string_view model_type, const char* text, int64_t head_dim) {
    return std::string(Read(model_type, text, head_dim).status().message());
  };
  EXPECT_THAT(refusal("phi", "{}", 10),
              HasSubstr("has a width of 5; it must be an even number from 2 to the head "
                        "dimension, 10"));
  EXPECT_THAT(refusal("llama", "{}", 7), HasSubstr("has a width of 7"));
  EXPECT_THAT(refusal("gptj", R"({"rotary_dim":12})", 10), HasSubstr("has a width of 12"));
  EXPECT_THAT(refusal("phi", R"({"partial_rotary_factor":1.5})", 10),
              HasSubstr("\"partial_rotary_factor\" is above 1"));
  EXPECT_THAT(refusal("gptj", "{}", 10), HasSubstr("\"rotary_dim\" is not an integer"));
}

TEST(RotaryConfig, RefusesWhatALayerDoesNotHave) {
  struct Row {
    std::string config, message;
  };
  const Row rows[] = {
      {R"({"rope_scaling":{"type":"yarn","factor":2}})",
       R"("rope_scaling": type "yarn" is not supported; default, linear and llama3 are)"},
      {R"({"rope_scaling":{"rope_type":"dynamic","factor":2}})", R"(type "dynamic" is not)"},
      {R"({"rope_scaling":{"rope_type":"linear","type":"llama3"}})",
       R"("type" is "llama3", but "rope_type" is "linear")"},
      {R"({"rope_scaling":{"type":"linear"}})", R"("factor" is not a number above 0)"},
      {R"({"rope_scaling":{"type":"linear","factor":"2"}})", R"("factor" is not a number)"},
      {R"({"rope_scaling":{"type":"linear","factor":2,"beta_fast":3}})",
       R"("rope_scaling": key "beta_fast" is not known here)"},
      {R"({"rope_scaling":{"factor":2}})", R"(key "factor" is not known here)"},
      {R"({"rope_scaling":"linear"})", R"("rope_scaling" is not an object)"},
      {R"({"rope_scaling":{"type":"default"},"rope_parameters":{"rope_type":"default"}})",
       R"("rope_scaling" and "rope_parameters" are both given)"},
      {R"({"rope_parameters":{"full_attention":{"rope_type":"default"}}})",
       R"("rope_parameters": key "full_attention" is not known here)"},
      {R"({"rope_theta":100,"rope_parameters":{"rope_theta":200}})",
       R"("rope_theta" is 200 here, but 100 outside)"},
      {R"({"rope_theta":-1})", R"("rope_theta" is not a number above 0)"},
      {R"({"rope_scaling":{"type":"llama3","factor":2,"low_freq_factor":1,)"
       R"("high_freq_factor":4}})",
       R"("original_max_position_embeddings" is not an integer)"},
      {R"({"rope_scaling":{"type":"llama3","factor":2,"low_freq_factor":4,)"
       R"("high_freq_factor":4,"original_max_position_embeddings":64}})",
       R"("high_freq_factor" is not above "low_freq_factor")"},
      {R"({"partial_rotary_factor":0.5})",
       R"("partial_rotary_factor" is 0.5; models of type "llama" rotate all features)"},
  };
  for (const Row& row : rows) {
    const auto rotary = Read("llama", row.config, 6);
    EXPECT_EQ(rotary.status().code(), absl::StatusCode::kInvalidArgument) << row.config;
    EXPECT_THAT(std::string(rotary.status().message()),
                AllOf(StartsWith("config.json: "), HasSubstr(row.message)));
  }
}

}  // namespace
}  // namespace attend
