// SPDX-License-Identifier: Apache-2.0

// Which requests to a decoder's layer the engine answers with a warning.

#include "core/engine/warnings.h"

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/engine/test_requests.h"

namespace attend {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kWidth = 16;

// One server with the layers "decoder", "rotary" (a decoder whose results depend on positions),
// "encoder", and "random", which belongs to no model.
class WarningsTest : public testing::Test {
 protected:
  WarningsTest() : budget_(int64_t{1} << 30) {
    Add("decoder", [](LayerConfig& c) { c.place.emplace().decoder = true; });
    Add("rotary", [](LayerConfig& c) {
      c.place.emplace().decoder = true;
      c.rotary.emplace().width = 8;
    });
    Add("encoder", [](LayerConfig& c) { c.place.emplace(); });
    Add("random", [](LayerConfig&) {});
    EngineOptions options;
    options.num_workers = 1;
    engine_ = std::make_unique<Engine>(options, layers_, budget_, Clock::Steady(), nullptr);
  }

  std::vector<std::string> Warnings(
      const std::string& layer, int64_t queries, int64_t keys,
      const std::function<void(MultiHeadAttentionRequest&)>& change = [](auto&) {}) {
    MultiHeadAttentionRequest request;
    request.layer = layer;
    request.query = RandomTensor(random_, {queries, kWidth});
    if (keys != queries) request.key = RandomTensor(random_, {keys, kWidth});
    change(request);
    const absl::StatusOr<Response> response = Call(*engine_, std::move(request));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->warnings : std::vector<std::string>{"no answer"};
  }

 private:
  void Add(const std::string& name, const std::function<void(LayerConfig&)>& change) {
    ASSERT_TRUE(layers_.Add(MakeTestLayer(name, kWidth, kWidth, kWidth, 4, 2, 8, change)).ok());
  }

  std::mt19937 random_{3};
  LayerRegistry layers_;
  MemoryBudget budget_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(WarningsTest, ShowAPrefillOfADecoderWithoutCausal) {
  EXPECT_THAT(Warnings("decoder", 5, 5),
              ElementsAre(AllOf(HasSubstr("layer \"decoder\" belongs to a decoder"),
                                HasSubstr("set options.causal"))));
  EXPECT_THAT(Warnings("rotary", 5, 5), ElementsAre(HasSubstr("layer \"rotary\"")));
  const auto causal = [](MultiHeadAttentionRequest& request) { request.options.causal = true; };
  EXPECT_THAT(Warnings("decoder", 5, 5, causal), IsEmpty());
  EXPECT_THAT(Warnings("rotary", 5, 5, causal), IsEmpty());
}

TEST_F(WarningsTest, ShowOnlyLayersOfDecoders) {
  EXPECT_THAT(Warnings("encoder", 5, 5), IsEmpty());
  EXPECT_THAT(Warnings("random", 5, 5), IsEmpty());
}

TEST_F(WarningsTest, DoNotShowOneRowAtTheEndOfItsKeys) {
  EXPECT_THAT(Warnings("decoder", 1, 1), IsEmpty());
  EXPECT_THAT(Warnings("decoder", 1, 7), IsEmpty());
  const auto end = [](MultiHeadAttentionRequest& request) {
    request.options.alignment = Alignment::kEnd;
  };
  EXPECT_THAT(Warnings("rotary", 1, 7, end), IsEmpty());
  EXPECT_THAT(Warnings("rotary", 2, 7, end).size(), 1u);
  EXPECT_THAT(Warnings("decoder", 2, 7, end).size(), 1u);
}

TEST_F(WarningsTest, ShowOneRowThatStandsBeforeSomeKeys) {
  EXPECT_THAT(Warnings("rotary", 1, 7,
                       [](MultiHeadAttentionRequest& request) {
                         request.options.alignment = Alignment::kStart;
                       }),
              ElementsAre(HasSubstr("keys after their own position")));
  EXPECT_THAT(
      Warnings("rotary", 1, 7,
               [](MultiHeadAttentionRequest& request) { request.options.query_offsets = {6}; }),
      IsEmpty());
}

TEST_F(WarningsTest, DoNotShowRowsThatAWindowAMaskOrABiasMayKeepFromLaterKeys) {
  EXPECT_THAT(
      Warnings("decoder", 5, 5,
               [](MultiHeadAttentionRequest& request) { request.options.window_right = 0; }),
      IsEmpty());
  EXPECT_THAT(Warnings("decoder", 5, 5,
                       [](MultiHeadAttentionRequest& request) { request.options.window_right = 1; })
                  .size(),
              1u);
  EXPECT_THAT(Warnings("decoder", 5, 5,
                       [](MultiHeadAttentionRequest& request) {
                         request.options.mask = Zeros({5, 5}, DataType::kBool);
                       }),
              IsEmpty());
  EXPECT_THAT(Warnings("decoder", 5, 5,
                       [](MultiHeadAttentionRequest& request) {
                         request.options.bias = Zeros({5, 5});
                       }),
              IsEmpty());
}

TEST_F(WarningsTest, LookAtEverySequence) {
  const auto split = [](std::vector<int64_t> lengths) {
    return [lengths](MultiHeadAttentionRequest& request) { request.query_lengths = lengths; };
  };
  EXPECT_THAT(Warnings("decoder", 5, 5, split({1, 1, 1, 2})).size(), 1u);
  EXPECT_THAT(Warnings("decoder", 5, 5, split({1, 1, 1, 1, 1, 0})), IsEmpty());
}

}  // namespace
}  // namespace attend
