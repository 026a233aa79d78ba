// SPDX-License-Identifier: Apache-2.0
#include "attend/tensor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <type_traits>
#include <vector>

#include "attend/tensor_buffer.h"

namespace attend::client {
namespace {

// A view of a temporary would dangle: it does not compile.
template <typename Values>
constexpr bool kMakesView = std::is_constructible_v<TensorView, Values, Shape>;
static_assert(kMakesView<std::vector<float>&>);
static_assert(kMakesView<const std::vector<float>&>);
static_assert(!kMakesView<std::vector<float>>);
static_assert(!kMakesView<const std::vector<float>>);
static_assert(!kMakesView<std::vector<BFloat16>>);
static_assert(!kMakesView<std::vector<uint8_t>>);
static_assert(
    !std::is_constructible_v<TensorView, std::vector<float>, Shape, std::shared_ptr<const void>>);
static_assert(!kMakesView<std::vector<double>&>);

// A view of std::vector<bool> owns a copy, so a temporary does no harm.
static_assert(kMakesView<std::vector<bool>&>);
static_assert(kMakesView<std::vector<bool>>);

// A buffer must outlive the call.
static_assert(std::is_constructible_v<TensorBuffer, std::vector<float>&>);
static_assert(!std::is_constructible_v<TensorBuffer, std::vector<float>>);
static_assert(!std::is_constructible_v<TensorBuffer, const std::vector<float>&>);

std::vector<uint8_t> Bytes(const TensorView& view) {
  const auto* data = static_cast<const uint8_t*>(view.data());
  return {data, data + view.size_bytes()};
}

TEST(TensorViewTest, MasksOfVectorBoolBytesAndBools) {
  const std::vector<uint8_t> expected = {1, 0, 1};
  const TensorView of_vector_bool(std::vector<bool>{true, false, true}, {3});
  const TensorView of_bytes(expected, {3});
  const bool bools[] = {true, false, true};
  const TensorView of_bools(absl::MakeConstSpan(bools), {3});
  for (const TensorView& view : {of_vector_bool, of_bytes, of_bools}) {
    EXPECT_EQ(view.type(), DataType::kBool);
    EXPECT_EQ(Bytes(view), expected);
    EXPECT_EQ(view.Validate(), absl::OkStatus());
  }
}

// What the server would refuse (tensor.proto).
TEST(TensorViewTest, RefusesAProductThatOverflowsEvenBesideAZero) {
  const std::vector<float> none;
  EXPECT_EQ(TensorView(none, {int64_t{1} << 32, 0}).Validate(), absl::OkStatus());
  for (const Shape& shape :
       {Shape{0, int64_t{1} << 62}, Shape{int64_t{1} << 62, 0}, Shape{int64_t{1} << 62, 2}}) {
    EXPECT_EQ(TensorView(none, shape).Validate().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(TensorViewTest, OwningTakesATemporary) {
  TensorView view;
  {
    std::vector<float> values = {1, 2};
    const float* const data = values.data();
    view = TensorView::Owning(std::move(values), {2});
    EXPECT_EQ(view.data(), data);  // moved, not copied
  }
  EXPECT_EQ(static_cast<const float*>(view.data())[1], 2.0f);
  EXPECT_NE(view.owner(), nullptr);
  EXPECT_EQ(view.Validate(), absl::OkStatus());
}

TEST(TensorTest, ValuesOfABoolTensorAreBytesOrBools) {
  const Tensor tensor(DataType::kBool, {2}, std::make_shared<const uint16_t>(1), 2);
  EXPECT_EQ((*tensor.values<uint8_t>())[0], 1);
  EXPECT_TRUE((*tensor.values<bool>())[0]);
  EXPECT_FALSE(tensor.values<float>().ok());
}

}  // namespace
}  // namespace attend::client
