// SPDX-License-Identifier: Apache-2.0
#include "client/cli/arrays.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "client/cli/random_tensor.h"

namespace attend::cli {
namespace {

using ::testing::HasSubstr;

class ArraysTest : public testing::Test {
 protected:
  ArraysTest() {
    folder_ = std::filesystem::path(testing::TempDir()) / absl::StrCat("attend-arrays-", getpid());
    std::filesystem::create_directories(folder_);
  }
  ~ArraysTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }
  std::string Bytes(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(Path(name), std::ios::binary).rdbuf();
    return text.str();
  }
  std::string NpyError(const std::string& bytes) const {
    return std::string(ReadNpy(Write("bad.npy", bytes)).status().message());
  }
  std::string SafetensorsError(const std::string& header, const std::string& data) const {
    const uint64_t size = header.size();
    std::string bytes(reinterpret_cast<const char*>(&size), 8);
    return std::string(
        ReadSafetensors(Write("bad.safetensors", bytes + header + data)).status().message());
  }

  std::filesystem::path folder_;
};

// A .npy file of version 1 with this header.
std::string Npy(std::string header, const std::string& data) {
  header += '\n';
  std::string bytes = "\x93NUMPY";
  bytes +=
      {'\1', '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return bytes + header + data;
}

void ExpectSame(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.type(), b.type());
  EXPECT_EQ(a.shape(), b.shape());
  ASSERT_EQ(a.size_bytes(), b.size_bytes());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0);
}

Tensor OfType(DataType type, const client::Shape& shape) {
  if (type != DataType::kBool) return *ConvertTensor(RandomTensor(shape, 3), type);
  void* data;
  Tensor tensor = NewTensor(type, shape, &data);
  for (size_t i = 0; i < tensor.num_elements(); ++i) static_cast<uint8_t*>(data)[i] = i % 3 == 0;
  return tensor;
}

const client::Shape kShapes[] = {{}, {0}, {7}, {1, 1}, {2, 3, 5}, {4, 0, 2}, {2, 1, 3, 2}};

TEST_F(ArraysTest, NpyComesBackAsWritten) {
  for (const DataType type : {DataType::kFloat32, DataType::kFloat16, DataType::kBool}) {
    for (const client::Shape& shape : kShapes) {
      SCOPED_TRACE(absl::StrCat(std::string(Name(type)), client::ToString(shape)));
      const Tensor tensor = OfType(type, shape);
      ASSERT_EQ(WriteNpy(Path("a.npy"), tensor), absl::OkStatus());
      const absl::StatusOr<Tensor> read = ReadNpy(Path("a.npy"));
      ASSERT_TRUE(read.ok()) << read.status();
      ExpectSame(*read, tensor);
    }
  }
}

TEST_F(ArraysTest, SafetensorsComeBackAsWritten) {
  std::vector<NamedTensor> tensors;
  for (const DataType type :
       {DataType::kFloat32, DataType::kBFloat16, DataType::kFloat16, DataType::kBool}) {
    for (const client::Shape& shape : kShapes) {
      tensors.push_back(
          {absl::StrCat(std::string(Name(type)), tensors.size()), OfType(type, shape)});
    }
  }
  ASSERT_EQ(WriteSafetensors(Path("a.safetensors"), tensors), absl::OkStatus());
  const auto read = ReadSafetensors(Path("a.safetensors"));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), tensors.size());
  for (const NamedTensor& each : tensors) {
    SCOPED_TRACE(each.name);
    ExpectSame(read->at(each.name), each.tensor);
  }
}

// The bytes that numpy.save(numpy.array([[1, 2, 3]], dtype="<f4")) writes.
TEST_F(ArraysTest, ReadsNumpysOwnHeader) {
  const float values[] = {1, 2, 3};
  const std::string data(reinterpret_cast<const char*>(values), sizeof(values));
  const std::string header =
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }" + std::string(58, ' ');
  for (const std::string& bytes : {Npy(header, data)}) {
    const absl::StatusOr<Tensor> read = ReadNpy(Write("a.npy", bytes));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->shape(), client::Shape({1, 3}));
    EXPECT_EQ(read->ToFloats(), std::vector<float>({1, 2, 3}));
  }
}

TEST_F(ArraysTest, Float64IsReadAsFloat32) {
  const double values[] = {0.1, -3};
  const std::string data(reinterpret_cast<const char*>(values), sizeof(values));
  const auto npy =
      ReadNpy(Write("a.npy", Npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", data)));
  ASSERT_TRUE(npy.ok()) << npy.status();
  EXPECT_EQ(npy->ToFloats(), std::vector<float>({0.1f, -3}));
}

TEST_F(ArraysTest, BFloat16IsWrittenToNpyAsFloat32) {
  const Tensor tensor = OfType(DataType::kBFloat16, {3, 3});
  ASSERT_EQ(WriteNpy(Path("a.npy"), tensor), absl::OkStatus());
  const auto read = ReadNpy(Path("a.npy"));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->type(), DataType::kFloat32);
  EXPECT_EQ(read->ToFloats(), tensor.ToFloats());
}

TEST_F(ArraysTest, NpyRefusesWhatDoesNotAddUp) {
  const std::string data(8, '\0');
  const auto header = [](const std::string& descr, const std::string& order,
                         const std::string& shape) {
    return absl::StrCat("{'descr': '", descr, "', 'fortran_order': ", order, ", 'shape': ", shape,
                        "}");
  };
  EXPECT_THAT(NpyError(""), HasSubstr("is not a .npy file"));
  EXPECT_THAT(NpyError("\x93NUMPX123456789"), HasSubstr("is not a .npy file"));
  EXPECT_THAT(NpyError("\x93NUMPY\x09\x01\x10\x10zz"), HasSubstr("version 9"));
  EXPECT_THAT(NpyError("\x93NUMPY\x01\x01\xff\xffzz"), HasSubstr("header's length"));
  EXPECT_THAT(NpyError(Npy("{'descr': ", data)), HasSubstr("header cannot be read"));
  EXPECT_THAT(NpyError(Npy(header("<f4", "False", "(2,)") + "x", data)),
              HasSubstr("header cannot be read"));
  EXPECT_THAT(NpyError(Npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False}", data)),
              HasSubstr("header cannot be read"));
  EXPECT_THAT(NpyError(Npy(header("<f4", "True", "(2, 1)"), data)), HasSubstr("Fortran order"));
  EXPECT_THAT(NpyError(Npy(header(">f4", "False", "(2,)"), data)), HasSubstr("\">f4\""));
  EXPECT_THAT(NpyError(Npy(header("<f4", "False", "(3,)"), data)),
              HasSubstr("shape [3] does not fit the 8 bytes"));
  EXPECT_THAT(NpyError(Npy(header("<f4", "False", "(-2,)"), data)), HasSubstr("header cannot"));
  EXPECT_THAT(NpyError(Npy(header("<f4", "False", "(4611686018427387905,4)"), data)),
              HasSubstr("does not fit"));
  EXPECT_TRUE(absl::IsNotFound(ReadNpy(Path("none.npy")).status()));
  EXPECT_FALSE(ReadNpy(folder_.string()).ok());
}

TEST_F(ArraysTest, SafetensorsRefusesWhatDoesNotAddUp) {
  const std::string eight(8, '\0');
  const auto entry = [](const std::string& shape, const std::string& offsets,
                        const std::string& type = "F32") {
    return absl::StrCat(R"({"dtype":")", type, R"(","shape":)", shape, R"(,"data_offsets":)",
                        offsets, "}");
  };
  const auto one = [&](const std::string& value) { return absl::StrCat("{\"t\":", value, "}"); };
  EXPECT_EQ(SafetensorsError(one(entry("[2]", "[0,8]")), eight), "");
  EXPECT_EQ(SafetensorsError(R"({"__metadata__":{"a":"b"}})", ""), "");
  EXPECT_THAT(SafetensorsError("{", eight), HasSubstr("not valid JSON"));
  EXPECT_THAT(SafetensorsError("[]", eight), HasSubstr("not valid JSON"));
  EXPECT_THAT(SafetensorsError(std::string(100000, '['), eight), HasSubstr("not valid JSON"));
  EXPECT_THAT(SafetensorsError(absl::StrCat("{\"t\":", entry("[1]", "[0,4]"),
                                            ",\"t\":", entry("[1]", "[4,8]"), "}"),
                               eight),
              HasSubstr("not valid JSON"));
  EXPECT_THAT(SafetensorsError(one("{}"), eight), HasSubstr("needs dtype"));
  EXPECT_THAT(SafetensorsError(one(entry("[2]", "[0,8]", "I32")), eight), HasSubstr("type I32"));
  EXPECT_THAT(SafetensorsError(one(entry("[-2]", "[0,8]")), eight),
              HasSubstr("\"t\" has an invalid shape"));
  EXPECT_THAT(SafetensorsError(one(entry("[2.0]", "[0,8]")), eight),
              HasSubstr("has an invalid shape: sizes must be whole numbers of 0 or more"));
  EXPECT_THAT(SafetensorsError(one(entry("[3]", "[0,8]")), eight), HasSubstr("does not fit"));
  EXPECT_THAT(SafetensorsError(one(entry("[3]", "[0,12]")), eight), HasSubstr("outside"));
  EXPECT_THAT(SafetensorsError(one(entry("[2]", "[8,0]")), eight), HasSubstr("outside"));
  EXPECT_THAT(SafetensorsError(one(entry("[1]", "[4,8]")), eight), HasSubstr("hole"));
  EXPECT_THAT(SafetensorsError(one(entry("[1]", "[0,4]")), eight), HasSubstr("8 bytes of data"));
  EXPECT_THAT(SafetensorsError(one(entry("[4611686018427387905,4]", "[0,8]")), eight),
              HasSubstr("does not fit"));
  EXPECT_THAT(SafetensorsError(absl::StrCat("{\"a\":", entry("[2]", "[0,8]"),
                                            ",\"b\":", entry("[1]", "[4,8]"), "}"),
                               eight),
              HasSubstr("overlaps"));
  EXPECT_FALSE(ReadSafetensors(Write("short.safetensors", "1234")).ok());
  EXPECT_FALSE(ReadSafetensors(Write("long.safetensors", std::string(8, '\xff'))).ok());
}

TEST_F(ArraysTest, SurvivesRandomDamage) {
  const unsigned seed = 11;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const Tensor tensor = OfType(DataType::kFloat32, {2, 3});
  ASSERT_TRUE(WriteNpy(Path("a.npy"), tensor).ok());
  ASSERT_TRUE(WriteSafetensors(Path("a.safetensors"), {{"t", tensor}, {"u", tensor}}).ok());
  const std::string npy = Bytes("a.npy");
  const std::string safetensors = Bytes("a.safetensors");
  for (int i = 0; i < 300; ++i) {
    for (std::string bytes : {npy, safetensors}) {
      for (int k = 0; k < 2; ++k) bytes[random() % 80] = static_cast<char>(random());
      if (i % 4 == 0) bytes.resize(random() % bytes.size());
      Write("damaged", bytes);
      (void)ReadNpy(Path("damaged"));
      (void)ReadSafetensors(Path("damaged"));
    }
  }
}

TEST_F(ArraysTest, ReadArrayChoosesByExtensionAndName) {
  const Tensor one = OfType(DataType::kFloat32, {1});
  const Tensor two = OfType(DataType::kFloat32, {2});
  ASSERT_TRUE(WriteNpy(Path("a.npy"), one).ok());
  ASSERT_TRUE(WriteSafetensors(Path("one.safetensors"), {{"x", one}}).ok());
  ASSERT_TRUE(WriteSafetensors(Path("two.safetensors"), {{"query", one}, {"y", two}}).ok());
  EXPECT_TRUE(ReadArray(Path("a.npy"), "query").ok());
  EXPECT_TRUE(ReadArray(Path("one.safetensors"), "query").ok());  // the only one
  EXPECT_EQ(ReadArray(Path("two.safetensors"), "query")->shape(), client::Shape({1}));
  EXPECT_EQ(ReadArray(Path("two.safetensors#y"), "query")->shape(), client::Shape({2}));
  EXPECT_THAT(std::string(ReadArray(Path("two.safetensors"), "key").status().message()),
              HasSubstr("one of: query, y"));
  EXPECT_FALSE(ReadArray(Path("two.safetensors#z"), "query").ok());
  EXPECT_FALSE(ReadArray(Path("a.npy#x"), "query").ok());
  EXPECT_FALSE(ReadArray(Path("a.txt"), "query").ok());
}

TEST(RandomTensorTest, IsUniformAndRepeatable) {
  const std::vector<float> values = RandomTensor({100000}, 5).ToFloats();
  EXPECT_EQ(values, RandomTensor({100000}, 5).ToFloats());
  EXPECT_NE(values, RandomTensor({100000}, 6).ToFloats());
  double sum = 0;
  double squares = 0;
  for (const float value : values) {
    EXPECT_GE(value, -1.0f);
    EXPECT_LT(value, 1.0f);
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(sum / 1e5, 0, 0.01);
  EXPECT_NEAR(squares / 1e5, 1.0 / 3, 0.01);
  EXPECT_EQ(*ParseShape("1x16x768"), client::Shape({1, 16, 768}));
  for (const char* wrong : {"", "x", "1x", "1x-2", "a", "99999999999x99999999999"}) {
    EXPECT_FALSE(ParseShape(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace attend::cli
