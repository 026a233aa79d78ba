// SPDX-License-Identifier: Apache-2.0

// Batch invariance through the engine: a request's answer has the same bits alone and inside any
// batch. Each subject, prefill and decode, runs alone with one worker and then inside a hundred
// batches of random company with three workers, for the operator and for layers in each compute
// type. CMakeLists.txt runs it on each SIMD path, and the image's build runs it with the other
// version of oneDNN.

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/engine/engine.h"
#include "core/simd/cpu.h"
#include "gtest/gtest.h"
#include "tests/core/engine/held_engine.h"
#include "tests/core/engine/random_requests.h"
#include "tests/core/engine/test_requests.h"

namespace attend {
namespace {

constexpr unsigned kSeed = 90125;
constexpr int kBatches = 100;

template <typename DrawOne>
void ExpectSameBitsInAnyBatch(const LayerRegistry& layers, const DrawOne& draw_one) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Draw draw(kSeed);
  std::vector<Request> subjects;
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
    for (const bool decode : {false, true, true}) {
      subjects.push_back(draw_one(draw, type, decode));
    }
  }
  HeldEngine one(1, layers), three(3, layers);  // responses must not outlive their engine
  std::vector<absl::StatusOr<Response>> alone;
  for (const Request& subject : subjects) {
    alone.push_back(Call(one.engine(), Copy(subject)));
    ASSERT_TRUE(alone.back().ok()) << alone.back().status();
    ASSERT_EQ(alone.back()->timing.batch_requests, 1);
  }
  for (int batch = 0; batch < kBatches && !testing::Test::HasFailure(); ++batch) {
    std::vector<Request> requests;
    std::vector<size_t> order;  // below subjects.size(): a subject, else company
    for (const Request& subject : subjects) requests.push_back(Copy(subject));
    for (int64_t n = draw.In(0, 5); n > 0; --n) {
      requests.push_back(draw_one(draw, draw.Type(), draw.Coin()));
    }
    for (size_t i = 0; i < requests.size(); ++i) order.push_back(i);
    std::shuffle(order.begin(), order.end(), draw.random());
    std::vector<Request> shuffled;
    for (const size_t i : order) shuffled.push_back(std::move(requests[i]));
    const auto answers = three.CallTogether(std::move(shuffled));
    for (size_t position = 0; position < order.size(); ++position) {
      const absl::StatusOr<Response>& got = answers[position];
      const size_t i = order[position];
      ASSERT_TRUE(got.ok()) << got.status();
      ASSERT_EQ(got->timing.batch_requests, static_cast<int64_t>(order.size()));
      if (i >= subjects.size()) continue;
      ExpectSameBits(*alone[i], *got,
                     "subject " + std::to_string(i) + " in batch " + std::to_string(batch));
    }
  }
}

TEST(BatchInvariance, OfTheOperator) {
  ExpectSameBitsInAnyBatch(LayerRegistry(), DrawOperator);
}

class BatchInvarianceOfLayers : public testing::TestWithParam<ComputeType> {
 protected:
  void Check(const std::function<void(LayerConfig&)>& change) {
    if (GetParam() == ComputeType::kBFloat16 && !GetCpuFeatures().avx512) {
      GTEST_SKIP() << "this CPU has no AVX-512";
    }
    LayerRegistry layers;
    const auto change_all = [&](LayerConfig& config) {
      config.compute = GetParam();
      change(config);
    };
    ASSERT_TRUE(layers.Add(MakeRandomRequestsLayer("layer", change_all)).ok());
    ExpectSameBitsInAnyBatch(layers, [](Draw& draw, DataType type, bool decode) {
      return DrawLayer(draw, "layer", type, decode);
    });
  }
};

TEST_P(BatchInvarianceOfLayers, Plain) {
  Check([](LayerConfig&) {});
}

TEST_P(BatchInvarianceOfLayers, WithEverySettingOfPosition) {
  Check([](LayerConfig& config) {
    config.query_key_norm = true;
    config.rotary.emplace().width = kHeadDim;
    config.relative_bias = RelativeBiasConfig{8, 20, true};
  });
}

INSTANTIATE_TEST_SUITE_P(ComputeTypes, BatchInvarianceOfLayers,
                         testing::Values(ComputeType::kFloat32, ComputeType::kBFloat16),
                         [](const auto& param) {
                           return param.param == ComputeType::kFloat32 ? "Float32" : "BFloat16";
                         });

}  // namespace
}  // namespace attend
