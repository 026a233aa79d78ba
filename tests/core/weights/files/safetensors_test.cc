// SPDX-License-Identifier: Apache-2.0
#include "core/weights/files/safetensors.h"

#include <sys/stat.h>

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/weights/test_files.h"

namespace attend {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

constexpr char kGoodHeader[] = R"({"__metadata__":{"format":"pt"},)"
                               R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                               R"("b":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},)"
                               R"("empty":{"dtype":"F32","shape":[0,3],"data_offsets":[16,16]},)"
                               R"("scalar":{"dtype":"F32","shape":[],"data_offsets":[16,20]}}   )";

TEST(Safetensors, ReadsFloat32) {
  TempDir dir;
  const float numbers[] = {1.5f, -2.0f, 0.0f, 0.0f, 7.0f};
  const std::string data(reinterpret_cast<const char*>(numbers), sizeof(numbers));
  const auto file = Safetensors::Open(dir.Write("x", SafetensorsBytes(kGoodHeader, data)));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors().size(), 4u);
  EXPECT_THAT(*file->ReadFloat32("a", {2, 1}), ElementsAre(1.5f, -2.0f));
  EXPECT_THAT(*file->ReadFloat32("scalar", {}), ElementsAre(7.0f));
  EXPECT_THAT(*file->ReadFloat32("empty", {0, 3}), ElementsAre());
}

TEST(Safetensors, NamesFileTensorAndReasonWhereATensorCannotBeRead) {
  TempDir dir;
  const auto path = dir.Write("x", SafetensorsBytes(kGoodHeader, std::string(20, '\0')));
  const auto file = Safetensors::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Message(file->ReadFloat32("c", {1}).status()), path + ": tensor \"c\" is missing");
  EXPECT_EQ(Message(file->ReadFloat32("a", {1, 2}).status()),
            path + ": tensor \"a\" has shape [2, 1], but must have [1, 2]");
  EXPECT_EQ(Message(file->ReadFloat32("b", {1}).status()),
            path + ": tensor \"b\" has dtype I64, but must have F32, F16 or BF16");
}

TEST(Safetensors, WidensHalfTypesExactly) {
  TempDir dir;
  const uint16_t halves[] = {0x3c00, 0xc000, 0x3f80, 0xc000};
  const auto path = dir.Write(
      "x", SafetensorsBytes(R"({"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},)"
                            R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]}})",
                            std::string(reinterpret_cast<const char*>(halves), sizeof(halves))));
  const auto file = Safetensors::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(*file->ReadFloat32("h", {2}), ElementsAre(1.0f, -2.0f));
  EXPECT_THAT(*file->ReadFloat32("b", {2}), ElementsAre(1.0f, -2.0f));
}

struct Corruption {
  const char* name;
  std::string bytes;
  const char* message;
};

std::string OneTensor(const std::string& entry, size_t data_bytes) {
  return SafetensorsBytes("{\"t\":" + entry + "}", std::string(data_bytes, '\0'));
}

std::vector<Corruption> Corruptions() {
  const std::string huge_length("\xff\xff\xff\xff\xff\xff\xff\x7f", 8);
  return {
      {"Empty", "", "too few for the safetensors format"},
      {"ShorterThanItsLengthField", "1234567", "too few for the safetensors format"},
      {"HeaderLengthBeyondTheCap", huge_length + "{}", "the header has 9223372036854775807 bytes"},
      {"HeaderLengthBeyondTheFile", SafetensorsBytes("{}", "").substr(0, 9),
       "the header has 2 bytes, but the file has 9"},
      {"NoHeader", SafetensorsBytes("", ""), "does not start with '{'"},
      {"SpaceBeforeTheHeader", SafetensorsBytes(" {}", ""), "does not start with '{'"},
      {"NotJson", SafetensorsBytes("{\"t\":", ""), "not JSON"},
      {"TwoValues", SafetensorsBytes("{}{}", ""), "not JSON"},
      {"BytesAfterAZeroByte", SafetensorsBytes(std::string("{}\0x", 4), ""), "a zero byte"},
      {"NotUtf8", SafetensorsBytes("{\"\xff\":1}", ""), "not JSON"},
      {"NumberBeyondDouble", SafetensorsBytes("{\"t\":1e999}", ""), "not JSON"},
      {"DeepNesting", SafetensorsBytes("{\"t\":" + std::string(100000, '['), ""),
       "nests deeper than 32 levels"},
      {"TensorTwice",
       SafetensorsBytes(R"({"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                        R"("t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                        ""),
       "key \"t\" is given twice"},
      {"KeyTwiceInsideATensor",
       OneTensor(R"({"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]})", 4),
       "key \"shape\" is given twice"},
      {"EntryNotAnObject", OneTensor("[]", 0), "tensor \"t\": the entry is not an object"},
      {"UnknownKey", OneTensor(R"({"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1})", 4),
       "tensor \"t\": key \"x\" is not known"},
      {"NoDtype", OneTensor(R"({"shape":[1],"data_offsets":[0,4]})", 4),
       "tensor \"t\": \"dtype\" is not a string"},
      {"UnknownDtype", OneTensor(R"({"dtype":"F4","shape":[1],"data_offsets":[0,4]})", 4),
       "tensor \"t\": dtype \"F4\" is not known"},
      {"NoShape", OneTensor(R"({"dtype":"F32","data_offsets":[0,4]})", 4),
       "tensor \"t\": \"shape\" is not an array"},
      {"NegativeSize", OneTensor(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", 4),
       "tensor \"t\": \"shape\" holds an element that is not"},
      {"FractionalSize", OneTensor(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})", 4),
       "tensor \"t\": \"shape\" holds an element that is not"},
      {"SizeBeyondInt64",
       OneTensor(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]})", 4),
       "tensor \"t\": \"shape\" holds an element that is not"},
      {"ProductThatOverflows",
       OneTensor(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})", 0),
       "tensor \"t\": the size of shape [4294967296, 4294967296] does not fit"},
      {"OneOffset", OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})", 4),
       "tensor \"t\": \"data_offsets\" is not [begin, end]"},
      {"EndBeforeBegin", OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", 4),
       "tensor \"t\": \"data_offsets\" is not [begin, end]"},
      {"EndBeyondTheFile", OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 4),
       "tensor \"t\": the range ends at byte 8 of the data, which has 4"},
      {"RangeOfAnotherSize", OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,8]})", 8),
       "tensor \"t\": shape [1] of F32 takes 4 bytes, but \"data_offsets\" spans 8"},
      {"BytesAfterTheLastTensor",
       OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})", 5),
       "1 bytes after the last tensor belong to no tensor"},
      {"HoleAtTheStart", OneTensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", 8),
       "tensor \"t\" starts at byte 4 of the data, with a hole after"},
      {"Overlap",
       SafetensorsBytes(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                        R"("t":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                        "123456"),
       "tensor \"t\" starts at byte 2 of the data, inside"},
      {"SameRangeTwice",
       SafetensorsBytes(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                        R"("t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                        "1234"),
       "tensor \"t\" starts at byte 0 of the data, inside"},
      {"MetadataNotAnObject", SafetensorsBytes(R"({"__metadata__":[]})", ""),
       "\"__metadata__\" is not an object of strings"},
      {"MetadataOfNumbers", SafetensorsBytes(R"({"__metadata__":{"a":1}})", ""),
       "\"__metadata__\" is not an object of strings"},
  };
}

class RefusesSafetensors : public ::testing::TestWithParam<Corruption> {};

TEST_P(RefusesSafetensors, AndNamesTheFile) {
  TempDir dir;
  const std::string path = dir.Write("bad.safetensors", GetParam().bytes);
  const auto file = Safetensors::Open(path);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(file.status()), AllOf(HasSubstr(path), HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(Table, RefusesSafetensors, ::testing::ValuesIn(Corruptions()),
                         [](const auto& row) { return row.param.name; });

TEST(Safetensors, RefusesWhatIsNotARegularFile) {
  TempDir dir;
  EXPECT_EQ(Safetensors::Open(dir.Path("none")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Safetensors::Open(dir.path()).status().code(), absl::StatusCode::kInvalidArgument);
  const std::string pipe = dir.Path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(Message(Safetensors::Open(pipe).status()), HasSubstr("not a regular file"));
}

TEST(Safetensors, ReportsAFileThatShrankAfterItWasOpened) {
  TempDir dir;
  const std::string path = dir.Write("x", SafetensorsBytes(kGoodHeader, std::string(20, '\0')));
  const auto file = Safetensors::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 2);
  EXPECT_EQ(file->ReadFloat32("scalar", {}).status().code(), absl::StatusCode::kDataLoss);
}

// A changed or missing byte may at most lead to a refusal, also under the sanitizers. A file
// that still opens must still be readable.
TEST(Safetensors, SurvivesEveryChangedByteAndEveryCut) {
  TempDir dir;
  const std::string good = SafetensorsBytes(kGoodHeader, std::string(20, '\1'));
  constexpr uint32_t kSeed = 20240229;
  std::mt19937 random(kSeed);
  const auto try_open = [&dir](const std::string& bytes) {
    const auto file = Safetensors::Open(dir.Write("x", bytes));
    if (!file.ok()) return;
    for (const auto& [name, entry] : file->tensors()) {
      const auto values = file->ReadFloat32(name, entry.shape);
      EXPECT_EQ(values.ok(), entry.dtype == "F32" || entry.dtype == "F16" || entry.dtype == "BF16")
          << values.status();
    }
  };
  for (size_t i = 0; i < good.size(); ++i) {
    try_open(good.substr(0, i));
    for (int repeat = 0; repeat < 4; ++repeat) {
      std::string bad = good;
      bad[i] = static_cast<char>(random());
      try_open(bad);
    }
  }
}

}  // namespace
}  // namespace attend
