// SPDX-License-Identifier: Apache-2.0

// A batch that is suspended between its tasks has the same bits as one that runs in one go,
// whatever other lanes compute meanwhile, and one that is stopped leaves nothing behind that
// changes later ones. Gates are closed and opened at random by a thread of their own, for the
// operator and for layers in each compute type.

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "core/engine/layer_operation.h"
#include "core/engine/operator_operation.h"
#include "core/simd/cpu.h"
#include "gtest/gtest.h"
#include "tests/core/engine/random_requests.h"
#include "tests/core/engine/test_requests.h"

namespace attend {
namespace {

constexpr unsigned kSeed = 20251128;
constexpr int kLaneCount = 2;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kBatches = 2;
#else
constexpr int kBatches = 8;
#endif

using DrawOne = std::function<Request(Draw& draw, DataType type, bool decode)>;

// Lanes and the runners of the operator and of one layer, as an engine has them.
class TestLanes {
 public:
  // `layer` may be nullptr and outlives the lanes.
  TestLanes(int workers, const Layer* layer)
      : operator_runner_(MakeContexts(workers)),
        layer_(std::shared_ptr<const void>(), layer),
        layer_runner_(LayerRates(), contexts_) {}

  // Runs the requests as one batch. Nothing if it was stopped. Each lane may be used by a thread
  // of its own.
  std::vector<Response> Run(int lane, const std::vector<Request>& requests, TaskGate& gate) {
    std::vector<std::unique_ptr<Operation>> operations;
    std::vector<Response> responses(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      operations.push_back(MakeOperation(Copy(requests[i])));
      operations[i]->Accept(*budget_.Charge(operations[i]->cost().bytes),
                            [&response = responses[i]](absl::StatusOr<Response> result) {
                              EXPECT_TRUE(result.ok()) << result.status();
                              if (result.ok()) response = *std::move(result);
                            });
      operations[i]->Prepare(lane);
    }
    if (!operations.front()->runner().Run(lane, gate)) {
      EXPECT_TRUE(gate.stopped()) << "the batch has failed";
      return {};
    }
    for (const std::unique_ptr<Operation>& operation : operations) operation->End(Timing());
    return responses;
  }

 private:
  std::deque<ExecutionContext>& MakeContexts(int workers) {
    for (int lane = 0; lane < kLaneCount; ++lane) contexts_.emplace_back(workers);
    return contexts_;
  }

  std::unique_ptr<Operation> MakeOperation(Request request) {
    constexpr int64_t kAny = 1 << 30;
    constexpr ShapeLimits kLimits = {kAny, kAny, kAny, kAny, kAny, kAny};
    if (auto* operands = std::get_if<ScaledDotProductAttentionRequest>(&request)) {
      return *OperatorOperation::Create(std::move(*operands), operator_runner_, kLimits);
    }
    return *LayerOperation::Create(std::move(std::get<MultiHeadAttentionRequest>(request)), layer_,
                                   layer_runner_, kLimits);
  }

  MemoryBudget budget_{int64_t{1} << 34};
  std::deque<ExecutionContext> contexts_;
  OperatorRunner operator_runner_;
  const std::shared_ptr<const Layer> layer_;  // owned by whoever made the lanes
  LayerRunner layer_runner_;
};

// As long as some tasks take, at most. A thread that yields may wait for many of them.
constexpr int64_t kMaxSpins = 20000;

void Spin(int64_t loads) {
  static const std::atomic<bool> kOver{false};
  while (loads > 0 && !kOver.load()) --loads;
}

// Opens one gate at a time, or none, for a random while, from a thread of its own. All gates are
// closed until it begins and open once it has ended.
class RandomTurns {
 public:
  RandomTurns(std::deque<TaskGate>& gates, unsigned seed) : gates_(gates) {
    for (TaskGate& gate : gates_) gate.Reset(false);
    thread_ = std::thread([this, seed] { Turn(seed); });
  }

  ~RandomTurns() {
    ended_.store(true);
    thread_.join();
    for (TaskGate& gate : gates_) gate.Open();
  }

 private:
  void Turn(unsigned seed) {
    Draw draw(seed);
    const auto count = static_cast<int64_t>(gates_.size());
    while (!ended_.load()) {
      const int64_t turn = draw.In(-1, count - 1);
      for (int64_t i = 0; i < count; ++i) {
        if (i != turn) gates_[static_cast<size_t>(i)].Close();
      }
      if (turn >= 0) gates_[static_cast<size_t>(turn)].Open();
      Spin(draw.In(0, kMaxSpins));
    }
  }

  std::deque<TaskGate>& gates_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

// Random requests, and the responses to each of them alone, in one go and with one worker.
struct Subjects {
  Subjects(const DrawOne& draw_one, const Layer* layer) {
    Draw draw(kSeed);
    for (const DataType type : {DataType::kFloat32, DataType::kBFloat16}) {
      for (const bool decode : {false, false, true}) {
        requests.push_back(draw_one(draw, type, decode));
      }
    }
    TestLanes lanes(1, layer);
    TaskGate open;
    for (const Request& request : requests) {
      std::vector<Request> alone;
      alone.push_back(Copy(request));
      responses.push_back(std::move(lanes.Run(0, alone, open).front()));
    }
  }

  void ExpectSame(const std::vector<Response>& got, const std::string& what) const {
    ASSERT_EQ(got.size(), responses.size()) << what;
    for (size_t i = 0; i < got.size(); ++i) {
      ExpectSameBits(responses[i], got[i], "request " + std::to_string(i) + ", " + what);
    }
  }

  std::vector<Request> requests;
  std::vector<Response> responses;
};

void CheckOneLane(const Subjects& subjects, TestLanes& lanes) {
  std::deque<TaskGate> gates(1);
  for (int batch = 0; batch < kBatches; ++batch) {
    std::vector<Response> got;
    {
      const RandomTurns turns(gates, kSeed + static_cast<unsigned>(batch));
      got = lanes.Run(0, subjects.requests, gates[0]);
    }
    subjects.ExpectSame(got, "suspended batch " + std::to_string(batch));
  }
}

// Each lane computes requests of its own while the lanes take turns.
void CheckTwoLanes(const Subjects& first, const Subjects& second, TestLanes& lanes) {
  const Subjects* const subjects[kLaneCount] = {&first, &second};
  std::deque<TaskGate> gates(kLaneCount);
  std::vector<std::vector<Response>> got[kLaneCount];
  {
    const RandomTurns turns(gates, kSeed);
    std::vector<std::thread> threads;
    for (int lane = 0; lane < kLaneCount; ++lane) {
      threads.emplace_back([&, lane] {
        for (int batch = 0; batch < kBatches; ++batch) {
          got[lane].push_back(lanes.Run(lane, subjects[lane]->requests, gates[lane]));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  for (int lane = 0; lane < kLaneCount; ++lane) {
    for (size_t batch = 0; batch < got[lane].size(); ++batch) {
      subjects[lane]->ExpectSame(
          got[lane][batch], "batch " + std::to_string(batch) + " of lane " + std::to_string(lane));
    }
  }
}

void CheckAfterStops(const Subjects& subjects, TestLanes& lanes) {
  Draw draw(kSeed);
  for (int batch = 0; batch < kBatches; ++batch) {
    TaskGate gate;
    std::atomic<bool> begun{false};
    std::thread stopper([&, spins = draw.In(0, 20 * kMaxSpins)] {
      while (!begun.load()) std::this_thread::yield();
      Spin(spins);
      gate.Stop();
    });
    begun.store(true);
    lanes.Run(0, subjects.requests, gate);
    stopper.join();
    gate.Reset(true);
    subjects.ExpectSame(lanes.Run(0, subjects.requests, gate),
                        "batch " + std::to_string(batch) + " after one that was stopped");
  }
}

void CheckAll(const DrawOne& draw_one, const Layer* layer) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  const Subjects subjects(draw_one, layer);
  for (const int workers : {1, 2, 3}) {
    SCOPED_TRACE(testing::Message() << "workers " << workers);
    TestLanes lanes(workers, layer);
    CheckOneLane(subjects, lanes);
    CheckTwoLanes(subjects, subjects, lanes);
    CheckAfterStops(subjects, lanes);
  }
}

TEST(Suspension, ChangesNoBitOfTheOperator) {
  CheckAll(DrawOperator, nullptr);
}

class SuspensionOfLayers : public testing::TestWithParam<ComputeType> {};

TEST_P(SuspensionOfLayers, ChangesNoBit) {
  if (GetParam() == ComputeType::kBFloat16 && !GetCpuFeatures().avx512) {
    GTEST_SKIP() << "this CPU has no AVX-512";
  }
  const std::unique_ptr<const Layer> layer =
      MakeRandomRequestsLayer("layer", [](LayerConfig& config) {
        config.compute = GetParam();
        config.query_key_norm = true;
        config.rotary.emplace().width = kHeadDim;
        config.relative_bias = RelativeBiasConfig{8, 20, true};
      });
  const auto draw_one = [](Draw& draw, DataType type, bool decode) {
    return DrawLayer(draw, "layer", type, decode);
  };
  CheckAll(draw_one, layer.get());
}

// The operator's batches and the layer's share the lanes.
TEST_P(SuspensionOfLayers, ChangesNoBitBesideTheOperator) {
  if (GetParam() == ComputeType::kBFloat16 && !GetCpuFeatures().avx512) {
    GTEST_SKIP() << "this CPU has no AVX-512";
  }
  const auto draw_layer = [](Draw& draw, DataType type, bool decode) {
    return DrawLayer(draw, "layer", type, decode);
  };
  const std::unique_ptr<const Layer> layer =
      MakeRandomRequestsLayer("layer", [](LayerConfig& config) { config.compute = GetParam(); });
  const Subjects of_layer(draw_layer, layer.get()), of_operator(DrawOperator, nullptr);
  for (const int workers : {1, 2, 3}) {
    SCOPED_TRACE(testing::Message() << "workers " << workers << ", seed " << kSeed);
    TestLanes lanes(workers, layer.get());
    CheckTwoLanes(of_layer, of_operator, lanes);
  }
}

INSTANTIATE_TEST_SUITE_P(ComputeTypes, SuspensionOfLayers,
                         testing::Values(ComputeType::kFloat32, ComputeType::kBFloat16),
                         [](const auto& param) {
                           return param.param == ComputeType::kFloat32 ? "Float32" : "BFloat16";
                         });

}  // namespace
}  // namespace attend
