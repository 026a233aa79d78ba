// SPDX-License-Identifier: Apache-2.0
#include "core/weights/files/checkpoint.h"

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/weights/files/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/weights/test_files.h"

namespace attend {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string OpenRefusal(const TempDir& dir) {
  return std::string(Checkpoint::Open(dir.path()).status().message());
}

std::string Digest(const std::string& path) {
  return *Sha256Hex(*File::Open(path));
}

TEST(Checkpoint, ReadsASingleFileInPreferenceToShards) {
  TempDir dir;
  dir.Write("config.json", R"({"model_type":"x"})");
  dir.Write("model.safetensors.index.json", "not JSON, never read");
  const auto path = dir.Write("model.safetensors", TensorSet().Add("a", {2}).Bytes());
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->config().at("model_type"), "x");
  EXPECT_EQ(checkpoint->weights_path(), path);
  EXPECT_EQ(checkpoint->sha256(), Digest(path));
  EXPECT_TRUE(checkpoint->Contains("a"));
  EXPECT_FALSE(checkpoint->Contains("b"));
  EXPECT_THAT(*checkpoint->ReadFloat32("a", {2}), ElementsAre(0, 1));
  EXPECT_EQ(std::string(checkpoint->ReadFloat32("b", {2}).status().message()),
            path + ": tensor \"b\" is missing");
}

class ShardedCheckpoint : public ::testing::Test {
 protected:
  ShardedCheckpoint() {
    dir_.Write("config.json", "{}");
    dir_.Write(Shard(0), TensorSet().Add("a", {2}).Bytes());
    dir_.Write(Shard(1), TensorSet().Add("b", {1}).Add("c", {1}).Bytes());
  }

  static std::string Shard(int i) { return absl::StrCat("model-", i, "-of-2.safetensors"); }

  std::string WriteIndex(const std::string& weight_map) const {
    return dir_.Write(
        "model.safetensors.index.json",
        absl::StrCat(R"({"metadata":{"total_size":1},"weight_map":)", weight_map, "}"));
  }

  TempDir dir_;
};

TEST_F(ShardedCheckpoint, ReadsEachTensorFromItsShard) {
  WriteIndex(
      absl::StrCat(R"({"c":")", Shard(1), R"(","a":")", Shard(0), R"(","b":")", Shard(1), R"("})"));
  const auto checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_THAT(*checkpoint->ReadFloat32("a", {2}), ElementsAre(0, 1));
  EXPECT_THAT(*checkpoint->ReadFloat32("c", {1}), ElementsAre(1000));
  EXPECT_EQ(checkpoint->sha256(),
            *Sha256Hex(Digest(dir_.Path(Shard(0))) + Digest(dir_.Path(Shard(1)))));
}

TEST_F(ShardedCheckpoint, RefusesAnIndexThatDoesNotFit) {
  const std::string index_path = WriteIndex(R"({"a":"../x.safetensors"})");
  EXPECT_THAT(OpenRefusal(dir_),
              AllOf(HasSubstr(index_path), HasSubstr("tensor \"a\" has a shard that is not")));
  WriteIndex(R"({"a":3})");
  EXPECT_THAT(OpenRefusal(dir_), HasSubstr("tensor \"a\" has a shard that is not"));
  WriteIndex("[]");
  EXPECT_THAT(OpenRefusal(dir_), HasSubstr("\"weight_map\" is not an object"));
  WriteIndex("{}");
  EXPECT_THAT(OpenRefusal(dir_), HasSubstr("\"weight_map\" is not an object with at least one"));
  WriteIndex(R"({"a":"none.safetensors"})");
  EXPECT_THAT(OpenRefusal(dir_), HasSubstr("none.safetensors: the file cannot be opened"));
  WriteIndex(absl::StrCat(R"({"b":")", Shard(0), R"("})"));
  EXPECT_THAT(OpenRefusal(dir_), AllOf(HasSubstr(Shard(0) + ": tensor \"b\" is missing"),
                                       HasSubstr("index.json assigns it to this file")));
}

TEST(Checkpoint, SaysWhatADirectoryLacks) {
  TempDir dir;
  EXPECT_THAT(OpenRefusal(dir), HasSubstr("config.json: the file cannot be opened"));
  dir.Write("config.json", "[]");
  EXPECT_THAT(OpenRefusal(dir), HasSubstr("config.json: the file does not hold a JSON object"));
  dir.Write("config.json", "{}");
  EXPECT_EQ(Checkpoint::Open(dir.path()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(OpenRefusal(dir), HasSubstr("holds neither model.safetensors nor"));
}

// Symptom: a directory with a GGUF said that config.json cannot be opened.
TEST(Checkpoint, SaysHowToConvertAGgufThatADirectoryHoldsInItsPlace) {
  TempDir dir;
  dir.Write("a.txt", "GGU");
  const std::string path = dir.Write("model.bin", "GGUF\3");
  EXPECT_EQ(Checkpoint::Open(dir.path()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(OpenRefusal(dir), AllOf(HasSubstr(path + ": the file is a GGUF"),
                                      HasSubstr("convert_gguf.py " + path + " DIRECTORY")));
  dir.Write("config.json", "{}");
  EXPECT_THAT(OpenRefusal(dir), HasSubstr(path + ": the file is a GGUF"));
  const std::string weights = dir.Write("model.safetensors", "GGUF\3");
  EXPECT_THAT(OpenRefusal(dir), HasSubstr(weights + ": the file is a GGUF"));
  // Beside weights that load, a GGUF does not matter.
  dir.Write("model.safetensors", TensorSet().Add("a", {2}).Bytes());
  EXPECT_TRUE(Checkpoint::Open(dir.path()).ok());
}

// Symptom: a quantised checkpoint was refused because a tensor is missing.
TEST(Checkpoint, RefusesQuantisedWeightsByTheConfig) {
  TempDir dir;
  const std::string path =
      dir.Write("config.json", R"({"quantization_config":{"quant_method":"gptq","bits":4}})");
  EXPECT_EQ(Checkpoint::Open(dir.path()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(OpenRefusal(dir),
              AllOf(HasSubstr(path + ": \"quantization_config\" is set to quant_method \"gptq\""),
                    HasSubstr("only weights of type F32, F16 and BF16 load")));
  for (const char* unnamed : {R"({"bits":8})", "{}", "true", R"({"quant_method":8})"}) {
    dir.Write("config.json", absl::StrCat(R"({"quantization_config":)", unnamed, "}"));
    EXPECT_THAT(OpenRefusal(dir), HasSubstr("\"quantization_config\" is set: the weights"));
  }
  dir.Write("config.json", R"({"quantization_config":null})");
  dir.Write("model.safetensors", TensorSet().Add("a", {2}).Bytes());
  EXPECT_TRUE(Checkpoint::Open(dir.path()).ok());
}

}  // namespace
}  // namespace attend
