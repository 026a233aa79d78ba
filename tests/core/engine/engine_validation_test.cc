// SPDX-License-Identifier: Apache-2.0

// Every rule of the contract that a request can break: a case changes a good request and names
// the code, the field and the words of the answer.

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/engine/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/engine/test_requests.h"

namespace attend {
namespace {

using ::testing::HasSubstr;
using Mha = MultiHeadAttentionRequest;
using Sdpa = ScaledDotProductAttentionRequest;

constexpr DataType kBool = DataType::kBool;
constexpr DataType kBf16 = DataType::kBFloat16;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kExhausted = absl::StatusCode::kResourceExhausted;

EngineOptions SmallLimits() {
  EngineOptions options;
  options.num_workers = 1;
  options.max_sequence_length = 64;
  options.max_batch_tokens = 100;
  options.max_weights_bytes = 4096;
  return options;
}

// Not inlined, because gcc 12 then takes the unused inline storage of the empty
// shape for read uninitialised.
[[gnu::noinline]] Shape NoAxes() {
  return {};
}

template <typename Request>
struct Case {
  std::string name;
  std::function<void(Request&)> change;
  std::string field = "";
  std::string words = "";
  std::string reason = "INVALID_VALUE";
  absl::StatusCode code = kInvalid;
};

class EngineValidation : public ::testing::Test {
 protected:
  struct Layers : LayerRegistry {
    Layers() {
      EXPECT_TRUE(Add(MakeTestLayer("self", 16, 16, 16)).ok());
      EXPECT_TRUE(Add(MakeTestLayer("cross", 16, 12, 20)).ok());
    }
  };

  // Dense, B = 2, Lq = 3, Lk = 5.
  static Mha GoodLayerRequest() {
    Mha request;
    request.layer = "cross";
    request.query = Zeros({2, 3, 16});
    request.key = Zeros({2, 5, 12});
    request.value = Zeros({2, 5, 20});
    return request;
  }

  // Dense BLHD, B = 2, Lq = 3, Lk = 5, H = 4, Hkv = 2, D = 8.
  static Sdpa GoodOperatorRequest() {
    Sdpa request;
    request.query = Zeros({2, 3, 4, 8});
    request.key = Zeros({2, 5, 2, 8});
    request.value = Zeros({2, 5, 2, 8});
    return request;
  }

  static Sdpa PackedOperatorRequest() {
    Sdpa request;
    request.query = Zeros({6, 4, 8});
    request.key = Zeros({10, 2, 8});
    request.value = Zeros({10, 2, 8});
    request.query_lengths = {2, 4};
    request.key_lengths = {7, 3};
    return request;
  }

  template <typename Request>
  void ExpectRefused(const std::vector<Case<Request>>& cases, Request (*good)()) {
    for (const Case<Request>& test : cases) {
      SCOPED_TRACE(test.name);
      Request request = good();
      test.change(request);
      Answer answer;
      absl::StatusOr<MemoryCharge> charge = engine_.budget().Charge(1000);
      ASSERT_TRUE(charge.ok());
      engine_.Submit(std::move(request), *std::move(charge), absl::InfiniteFuture(),
                     answer.Callback());
      EXPECT_EQ(answer.count(), 1) << "a refusal is answered before Submit returns";
      const absl::Status status = answer.Wait().status();
      EXPECT_EQ(status.code(), test.code) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr(test.words));
      const ErrorInfo info = GetErrorInfo(status);
      EXPECT_EQ(info.reason, test.reason) << status;
      EXPECT_EQ(info.field, test.field) << status;
      EXPECT_LT(GetRetryPushback(status), absl::ZeroDuration()) << "never retry";
      EXPECT_EQ(engine_.stats().in_flight_bytes, 0);
    }
  }

  template <typename Request>
  void ExpectAccepted(const std::vector<Case<Request>>& cases, Request (*good)()) {
    for (const Case<Request>& test : cases) {
      SCOPED_TRACE(test.name);
      Request request = good();
      test.change(request);
      const absl::StatusOr<Response> response = Call(engine_, std::move(request));
      EXPECT_TRUE(response.ok()) << response.status();
    }
  }

  const Layers layers_;
  MemoryBudget budget_{1 << 20};
  Engine engine_{SmallLimits(), layers_, budget_, Clock::Steady(), nullptr};
};

TEST_F(EngineValidation, OfLayerRequests) {
  ExpectAccepted<Mha>({{"as it is", [](Mha&) {}}}, &GoodLayerRequest);
  ExpectRefused<Mha>(
      {
          {"a layer that does not exist", [](Mha& r) { r.layer = "no\nsuch"; }, "layer",
           "\"no\\nsuch\"; LayerService.ListLayers", "UNKNOWN_LAYER", absl::StatusCode::kNotFound},
          {"no layer", [](Mha& r) { r.layer = ""; }, "layer", "no layer is named \"\"",
           "UNKNOWN_LAYER", absl::StatusCode::kNotFound},
          {"no query", [](Mha& r) { r.query = Tensor(); }, "query",
           "[B, L, 16] or, packed, [T, 16]; got []", "SHAPE_MISMATCH"},
          {"a query of too many axes",
           [](Mha& r) {
             r.query = Zeros({1, 2, 3, 16});
           },
           "query", "got [1, 2, 3, 16]", "SHAPE_MISMATCH"},
          {"a query of another width",
           [](Mha& r) {
             r.query = Zeros({2, 3, 15});
           },
           "query", "must be 16 wide for this layer; got 15", "SHAPE_MISMATCH"},
          {"a query of BOOL",
           [](Mha& r) {
             r.query = Zeros({2, 3, 16}, kBool);
           },
           "query", "FLOAT32, BFLOAT16 or FLOAT16; got BOOL", "TYPE_MISMATCH"},
          {"a key of another type",
           [](Mha& r) {
             r.key = Zeros({2, 5, 12}, kBf16);
           },
           "key", "query's type FLOAT32; got BFLOAT16", "TYPE_MISMATCH"},
          {"a value of another type",
           [](Mha& r) {
             r.value = Zeros({2, 5, 20}, kBf16);
           },
           "value", "query's type FLOAT32; got BFLOAT16", "TYPE_MISMATCH"},
          {"a key of another width",
           [](Mha& r) {
             r.key = Zeros({2, 5, 16});
           },
           "key", "must be 12 wide", "SHAPE_MISMATCH"},
          {"a value of another width",
           [](Mha& r) {
             r.value = Zeros({2, 5, 12});
           },
           "value", "must be 20 wide", "SHAPE_MISMATCH"},
          {"a packed key beside a dense query",
           [](Mha& r) {
             r.key = Zeros({10, 12});
           },
           "key", "must be dense as query is, [2, 3, 16]; got [10, 12]", "SHAPE_MISMATCH"},
          {"a key with other sequences",
           [](Mha& r) {
             r.key = Zeros({3, 5, 12});
             r.value = Zeros({3, 5, 20});
           },
           "key", "as many sequences as query, 2; got 3", "SHAPE_MISMATCH"},
          {"a value with other rows than key",
           [](Mha& r) {
             r.value = Zeros({2, 4, 20});
           },
           "value", "rows of key [2, 5, 12]; got [2, 4, 20]", "SHAPE_MISMATCH"},
          {"no key where query cannot be it", [](Mha& r) { r.key.reset(); }, "key",
           "required: this layer's keys are 12 wide and its queries 16", "MISSING_FIELD"},
          {"no value where key cannot be it", [](Mha& r) { r.value.reset(); }, "value",
           "required: this layer's values are 20 wide and its keys 12", "MISSING_FIELD"},
          {"key lengths without a key",
           [](Mha& r) {
             r.layer = "self";
             r.key.reset();
             r.value.reset();
             r.key_lengths = {3, 3};
           },
           "key_lengths", "must be absent where key is absent", "CONFLICTING_FIELDS"},
          {"gates for another number of heads",
           [](Mha& r) {
             r.options.head_gates = {1, 1, 1};
           },
           "options.head_gates", "each of the 4 heads; got 3", "SHAPE_MISMATCH"},
      },
      &GoodLayerRequest);
}

TEST_F(EngineValidation, OfOperatorRequests) {
  ExpectAccepted<Sdpa>({{"as it is", [](Sdpa&) {}},
                        {"a value of another width",
                         [](Sdpa& r) {
                           r.value = Zeros({2, 5, 2, 3});
                         },
                         "SHAPE_MISMATCH"}},
                       &GoodOperatorRequest);
  ExpectRefused<Sdpa>(
      {
          {"no query", [](Sdpa& r) { r.query = Tensor(); }, "query", "got []", "SHAPE_MISMATCH"},
          {"no key", [](Sdpa& r) { r.key = Tensor(); }, "key", "got []", "SHAPE_MISMATCH"},
          {"no value", [](Sdpa& r) { r.value = Tensor(); }, "value", "got []", "SHAPE_MISMATCH"},
          {"a query of BOOL",
           [](Sdpa& r) {
             r.query = Zeros({2, 3, 4, 8}, kBool);
           },
           "query", "got BOOL", "TYPE_MISMATCH"},
          {"a key of another type",
           [](Sdpa& r) {
             r.key = Zeros({2, 5, 2, 8}, kBf16);
           },
           "key", "query's type FLOAT32; got BFLOAT16", "TYPE_MISMATCH"},
          {"packed in BHLD",
           [](Sdpa& r) {
             r.layout = Layout::kBhld;
             r.query = Zeros({6, 4, 8});
           },
           "query", "[B, H, L, D] in LAYOUT_BHLD (which has no packed form); got [6, 4, 8]",
           "SHAPE_MISMATCH"},
          {"a packed value beside a dense query",
           [](Sdpa& r) {
             r.value = Zeros({10, 2, 8});
           },
           "value", "must be dense as query is", "SHAPE_MISMATCH"},
          {"heads that do not divide",
           [](Sdpa& r) {
             r.key = Zeros({2, 5, 3, 8});
             r.value = Zeros({2, 5, 3, 8});
           },
           "key", "must divide query's 4; got 3", "SHAPE_MISMATCH"},
          {"no heads",
           [](Sdpa& r) {
             r.query = Zeros({2, 3, 0, 8});
           },
           "query", "number of heads must be from 1 to 1024 on this server; got 0",
           "SIZE_OUT_OF_RANGE"},
          {"one head too many",
           [](Sdpa& r) {
             r.query = Zeros({1, 1, 1025, 1});
           },
           "query", "from 1 to 1024 on this server; got 1025 in shape [1, 1, 1025, 1]",
           "SIZE_OUT_OF_RANGE"},
          {"absurdly many heads of no rows",
           [](Sdpa& r) {
             r.query = Zeros({2, 0, int64_t{1} << 40, 8});
           },
           "query", "number of heads", "SIZE_OUT_OF_RANGE"},
          {"heads of no width",
           [](Sdpa& r) {
             r.query = Zeros({2, 3, 4, 0});
           },
           "query", "width of a head must be from 1 to 4096; got 0", "SIZE_OUT_OF_RANGE"},
          {"heads that are too wide",
           [](Sdpa& r) {
             r.query = Zeros({1, 1, 1, 4097});
           },
           "query", "got 4097", "SIZE_OUT_OF_RANGE"},
          {"a key of another width",
           [](Sdpa& r) {
             r.key = Zeros({2, 5, 2, 4});
           },
           "key", "as wide as query's, 8; got 4", "SHAPE_MISMATCH"},
          {"a value of other heads than key",
           [](Sdpa& r) {
             r.value = Zeros({2, 5, 1, 8});
           },
           "value", "key's number of heads in [2, 5, 2, 8]; got [2, 5, 1, 8]", "SHAPE_MISMATCH"},
          {"a value of other rows than key",
           [](Sdpa& r) {
             r.value = Zeros({2, 4, 2, 8});
           },
           "value", "key's rows", "SHAPE_MISMATCH"},
          {"a key of other sequences",
           [](Sdpa& r) {
             r.key = Zeros({1, 5, 2, 8});
             r.value = Zeros({1, 5, 2, 8});
           },
           "key", "as many sequences as query, 2; got 1", "SHAPE_MISMATCH"},
      },
      &GoodOperatorRequest);
}

TEST_F(EngineValidation, OfLengths) {
  ExpectAccepted<Sdpa>(
      {
          {"lengths of all rows",
           [](Sdpa& r) {
             r.query_lengths = {3, 3};
           }},
          {"lengths of no rows",
           [](Sdpa& r) {
             r.key_lengths = {0, 0};
           }},
      },
      &GoodOperatorRequest);
  ExpectRefused<Sdpa>(
      {
          {"too few lengths", [](Sdpa& r) { r.query_lengths = {3}; }, "query_lengths",
           "each of the 2 sequences of query; got 1", "LENGTHS_MISMATCH"},
          {"too many lengths",
           [](Sdpa& r) {
             r.key_lengths = {1, 2, 3};
           },
           "key_lengths", "each of the 2 sequences of key; got 3", "LENGTHS_MISMATCH"},
          {"a negative length",
           [](Sdpa& r) {
             r.query_lengths = {3, -1};
           },
           "query_lengths", "from 0 to the 3 rows of query; got -1", "LENGTHS_MISMATCH"},
          {"a length beyond the rows",
           [](Sdpa& r) {
             r.key_lengths = {6, 0};
           },
           "key_lengths", "from 0 to the 5 rows of key; got 6", "LENGTHS_MISMATCH"},
      },
      &GoodOperatorRequest);
  ExpectAccepted<Sdpa>({{"as it is", [](Sdpa&) {}},
                        {"no lengths: one sequence",
                         [](Sdpa& r) {
                           r.query_lengths.clear();
                           r.key_lengths.clear();
                         }}},
                       &PackedOperatorRequest);
  ExpectRefused<Sdpa>(
      {
          {"lengths that sum to less",
           [](Sdpa& r) {
             r.query_lengths = {2, 3};
           },
           "query_lengths", "must sum to the 6 rows of query; got 5", "LENGTHS_MISMATCH"},
          {"lengths that sum to more",
           [](Sdpa& r) {
             r.key_lengths = {9, 9};
           },
           "key_lengths", "sum to the 10 rows of key; got 9 where 1 are left", "LENGTHS_MISMATCH"},
          {"a negative length",
           [](Sdpa& r) {
             r.query_lengths = {8, -2};
           },
           "query_lengths", "got 8 where 6 are left", "LENGTHS_MISMATCH"},
          {"lengths whose sum overflows",
           [](Sdpa& r) {
             const int64_t max = std::numeric_limits<int64_t>::max();
             r.query_lengths = {max, max, 8};
           },
           "query_lengths", "where 6 are left", "LENGTHS_MISMATCH"},
          {"other sequences of key than of query",
           [](Sdpa& r) {
             r.key_lengths = {5, 3, 2};
           },
           "key_lengths", "makes 2 sequences of query, but key_lengths makes 3 of key",
           "LENGTHS_MISMATCH"},
          {"query lengths alone", [](Sdpa& r) { r.key_lengths.clear(); }, "key_lengths",
           "key_lengths makes 1 of key", "LENGTHS_MISMATCH"},
      },
      &PackedOperatorRequest);
}

TEST_F(EngineValidation, OfOptions) {
  ExpectAccepted<Sdpa>(
      {
          {"a bias of each rank", [](Sdpa& r) { r.options.bias = Zeros({5}); }},
          {"a bias of [Lq, 1]",
           [](Sdpa& r) {
             r.options.bias = Zeros({3, 1}, kBf16);
           }},
          {"a bias of [H, 1, Lk]",
           [](Sdpa& r) {
             r.options.bias = Zeros({4, 1, 5});
           }},
          {"a bias of [B, 1, 1, 1]",
           [](Sdpa& r) {
             r.options.bias = Zeros({2, 1, 1, 1});
           }},
          {"an infinite bias",
           [](Sdpa& r) {
             r.options.bias = Zeros({1});
             r.options.bias->as<float>()[0] = -kInf;
           }},
          {"a scale of 0", [](Sdpa& r) { r.options.scale = 0.0f; }},
          {"all gates 0",
           [](Sdpa& r) {
             r.options.head_gates = {0, 0, 0, 0};
           }},
          {"an alignment that is not needed",
           [](Sdpa& r) { r.options.alignment = Alignment::kEnd; }},
          {"offsets that are not needed, even of another number",
           [](Sdpa& r) { r.options.query_offsets = {1}; }},
          {"causal with an alignment",
           [](Sdpa& r) {
             r.options.causal = true;
             r.options.alignment = Alignment::kStart;
           }},
          {"causal with extreme offsets",
           [](Sdpa& r) {
             r.options.causal = true;
             r.options.query_offsets = {std::numeric_limits<int64_t>::min(),
                                        std::numeric_limits<int64_t>::max()};
           }},
          {"causal without either where the valid lengths are equal",
           [](Sdpa& r) {
             r.options.causal = true;
             r.key_lengths = {3, 3};
           }},
      },
      &GoodOperatorRequest);
  ExpectRefused<Sdpa>(
      {
          {"a scale that is not a number", [](Sdpa& r) { r.options.scale = std::nanf(""); },
           "options.scale", "must be finite; got nan"},
          {"an infinite scale", [](Sdpa& r) { r.options.scale = kInf; }, "options.scale",
           "must be finite; got inf"},
          {"causal without alignment where lengths differ",
           [](Sdpa& r) { r.options.causal = true; }, "options.alignment",
           "3 query rows to 5 keys (sequence 0) needs options.alignment (ALIGNMENT_START or "
           "ALIGNMENT_END) or options.query_offsets",
           "MISSING_FIELD"},
          {"both alignment and offsets",
           [](Sdpa& r) {
             r.options.causal = true;
             r.options.alignment = Alignment::kEnd;
             r.options.query_offsets = {0, 0};
           },
           "options.query_offsets", "not both", "CONFLICTING_FIELDS"},
          {"offsets for another number of sequences",
           [](Sdpa& r) {
             r.options.causal = true;
             r.options.query_offsets = {0};
           },
           "options.query_offsets", "each of the 2 sequences; got 1", "SHAPE_MISMATCH"},
          {"a bias of BOOL",
           [](Sdpa& r) {
             r.options.bias = Zeros({3, 5}, kBool);
           },
           "options.bias", "got BOOL, which is for options.mask", "TYPE_MISMATCH"},
          {"a bias of no axes", [](Sdpa& r) { r.options.bias = Zeros(NoAxes()); }, "options.bias",
           "needs 1 to 4 axes; got shape []", "SHAPE_MISMATCH"},
          {"a bias of five axes",
           [](Sdpa& r) {
             r.options.bias = Zeros({1, 1, 1, 1, 5});
           },
           "options.bias", "needs 1 to 4 axes", "SHAPE_MISMATCH"},
          {"a bias that does not broadcast",
           [](Sdpa& r) {
             r.options.bias = Zeros({2, 5});
           },
           "options.bias",
           "shape [2, 5] does not broadcast to [B, H, Lq, Lk] = [2, 4, 3, 5]: axis 0 must be 3 "
           "or 1",
           "SHAPE_MISMATCH"},
          {"a bias of the key/value heads",
           [](Sdpa& r) {
             r.options.bias = Zeros({2, 3, 5});
           },
           "options.bias", "axis 0 must be 4 or 1", "SHAPE_MISMATCH"},
          {"a mask of floats",
           [](Sdpa& r) {
             r.options.mask = Zeros({3, 5});
           },
           "options.mask", "needs type BOOL (true = may attend); got FLOAT32", "TYPE_MISMATCH"},
          {"a mask that does not broadcast",
           [](Sdpa& r) {
             r.options.mask = Zeros({3, 4}, kBool);
           },
           "options.mask", "axis 1 must be 5 or 1", "SHAPE_MISMATCH"},
          {"a mask of other bytes than 0 and 1",
           [](Sdpa& r) {
             r.options.mask = Zeros({3, 5}, kBool);
             r.options.mask->data()[7] = std::byte{2};
           },
           "options.mask", "the byte 0 or 1; got 2 at index 7"},
          {"gates for another number of heads",
           [](Sdpa& r) {
             r.options.head_gates = {1, 1};
           },
           "options.head_gates", "each of the 4 heads; got 2", "SHAPE_MISMATCH"},
          {"a gate that is not finite",
           [](Sdpa& r) {
             r.options.head_gates = {1, 1, kInf, 1};
           },
           "options.head_gates", "must be finite; got inf"},
      },
      &GoodOperatorRequest);
  ExpectAccepted<Sdpa>({{"a mask of the longest lengths",
                         [](Sdpa& r) {
                           r.options.mask = Zeros({2, 1, 4, 7}, kBool);
                         }}},
                       &PackedOperatorRequest);
  ExpectRefused<Sdpa>({{"a mask of the summed lengths",
                        [](Sdpa& r) {
                          r.options.mask = Zeros({6, 10}, kBool);
                        },
                        "options.mask", "= [2, 4, 4, 7]: axis 1 must be 7 or 1", "SHAPE_MISMATCH"}},
                      &PackedOperatorRequest);
}

TEST_F(EngineValidation, OfVariants) {
  const auto slopes = [](Shape shape, float value = 0.5f) {
    Tensor tensor = Zeros(std::move(shape));
    for (size_t i = 0; i < tensor.byte_size() / sizeof(float); ++i) tensor.as<float>()[i] = value;
    return tensor;
  };
  const int64_t max = std::numeric_limits<int64_t>::max();
  ExpectAccepted<Sdpa>(
      {
          {"windows with an alignment",
           [&](Sdpa& r) {
             r.options.window_left = 0;
             r.options.window_right = max;
             r.options.alignment = Alignment::kEnd;
           }},
          {"windows with extreme offsets",
           [&](Sdpa& r) {
             r.options.window_left = r.options.window_right = max;
             r.options.query_offsets = {max, std::numeric_limits<int64_t>::min()};
           }},
          {"a softcap", [](Sdpa& r) { r.options.softcap = 1e-30f; }},
          {"slopes by head",
           [&](Sdpa& r) {
             r.options.alibi_slopes = slopes({4});
             r.options.alignment = Alignment::kStart;
           }},
          {"slopes by sequence and head",
           [&](Sdpa& r) {
             r.options.alibi_slopes = slopes({2, 4}, -0.25f);
             r.options.query_offsets = {0, 2};
           }},
          {"sinks, one of them none",
           [](Sdpa& r) {
             r.options.sinks = {0, -kInf, 1e30f, -3};
           }},
          {"each stage",
           [](Sdpa& r) {
             r.options.weights = WeightsOutput::kPerHead;
             r.options.weights_stage = WeightsStage::kBiased;
           }},
          {"a stage of nothing", [](Sdpa& r) { r.options.weights_stage = WeightsStage::kScaled; }},
          {"a log-sum-exp", [](Sdpa& r) { r.options.log_sum_exp = true; }},
      },
      &GoodOperatorRequest);
  ExpectRefused<Sdpa>(
      {
          {"a negative left window", [](Sdpa& r) { r.options.window_left = -1; },
           "options.window_left", "must be >= 0; got -1"},
          {"a negative right window",
           [](Sdpa& r) { r.options.window_right = std::numeric_limits<int64_t>::min(); },
           "options.window_right", "must be >= 0; got -9223372036854775808"},
          {"a window without alignment where lengths differ",
           [](Sdpa& r) { r.options.window_left = 4; }, "options.alignment",
           "a window of 3 query rows to 5 keys (sequence 0) needs options.alignment",
           "MISSING_FIELD"},
          {"slopes without alignment where lengths differ",
           [&](Sdpa& r) { r.options.alibi_slopes = slopes({4}); }, "options.alignment",
           "ALiBi of 3 query rows to 5 keys", "MISSING_FIELD"},
          {"a softcap of 0", [](Sdpa& r) { r.options.softcap = 0.0f; }, "options.softcap",
           "must be finite and > 0; got 0"},
          {"a negative softcap", [](Sdpa& r) { r.options.softcap = -1.0f; }, "options.softcap",
           "got -1"},
          {"an infinite softcap", [](Sdpa& r) { r.options.softcap = kInf; }, "options.softcap",
           "got inf"},
          {"a softcap that is not a number", [](Sdpa& r) { r.options.softcap = std::nanf(""); },
           "options.softcap", "got nan"},
          {"slopes of another type", [](Sdpa& r) { r.options.alibi_slopes = Zeros({4}, kBf16); },
           "options.alibi_slopes", "needs type FLOAT32; got BFLOAT16", "TYPE_MISMATCH"},
          {"slopes of no axes", [](Sdpa& r) { r.options.alibi_slopes = Zeros(NoAxes()); },
           "options.alibi_slopes", "[H] or [B, H] = [2, 4]; got []", "SHAPE_MISMATCH"},
          {"slopes for another number of heads",
           [&](Sdpa& r) { r.options.alibi_slopes = slopes({3}); }, "options.alibi_slopes",
           "[2, 4]; got [3]", "SHAPE_MISMATCH"},
          {"slopes for another number of sequences",
           [&](Sdpa& r) {
             r.options.alibi_slopes = slopes({1, 4});
           },
           "options.alibi_slopes", "[2, 4]; got [1, 4]", "SHAPE_MISMATCH"},
          {"slopes that are not finite",
           [&](Sdpa& r) { r.options.alibi_slopes = slopes({4}, kInf); }, "options.alibi_slopes",
           "must be finite; got inf"},
          {"sinks for another number of heads",
           [](Sdpa& r) {
             r.options.sinks = {0, 0};
           },
           "options.sinks", "each of the 4 heads; got 2", "SHAPE_MISMATCH"},
          {"an infinite sink",
           [](Sdpa& r) {
             r.options.sinks = {0, kInf, 0, 0};
           },
           "options.sinks", "must be finite or -inf; got inf"},
          {"a sink that is not a number",
           [](Sdpa& r) {
             r.options.sinks = {0, std::nanf(""), 0, 0};
           },
           "options.sinks", "got nan"},
          {"a mean of scores",
           [](Sdpa& r) {
             r.options.weights = WeightsOutput::kMean;
             r.options.weights_stage = WeightsStage::kScaled;
           },
           "options.weights_stage", "with WEIGHTS_MEAN; other stages need WEIGHTS_PER_HEAD",
           "CONFLICTING_FIELDS"},
      },
      &GoodOperatorRequest);
}

TEST_F(EngineValidation, OfSizes) {
  const auto operands = [](int64_t batch, int64_t rows, int64_t keys) {
    return [=](Sdpa& r) {
      r.query = Zeros({batch, rows, 1, 1});
      r.key = Zeros({batch, keys, 1, 1});
      r.value = Zeros({batch, keys, 1, 1});
    };
  };
  ExpectAccepted<Sdpa>({{"the longest sequence", operands(1, 64, 64)},
                        {"the most rows", operands(2, 50, 50)},
                        {"the most sequences", operands(100, 1, 1)}},
                       &GoodOperatorRequest);
  ExpectRefused<Sdpa>(
      {
          {"a query that is too long", operands(1, 65, 1), "query",
           "a sequence may have 64 rows on this server; got 65", "TOO_LARGE"},
          {"a key that is too long", operands(1, 1, 65), "key",
           "a sequence may have 64 rows on this server; got 65", "TOO_LARGE"},
          {"more rows than any batch may have", operands(2, 51, 1), "query",
           "a request may have 100 rows in all on this server; got 102", "TOO_LARGE"},
          {"more keys than any batch may have", operands(2, 1, 51), "key",
           "a request may have 100 rows in all", "TOO_LARGE"},
          {"more sequences than any batch may have", operands(101, 0, 0), "query",
           "a request may hold 100 sequences; got 101", "TOO_LARGE"},
          {"absurdly many empty sequences", operands(int64_t{1} << 60, 0, 0), "query",
           "a request may hold 100 sequences", "TOO_LARGE"},
          {"weights beyond the limit",
           [&](Sdpa& r) {
             operands(1, 32, 33)(r);
             r.options.weights = WeightsOutput::kMean;
           },
           "options.weights",
           "FLOAT32 weights of shape [1, 32, 33] exceed this server's limit of 4096 bytes",
           "TOO_LARGE"},
          {"more memory than there is",
           [](Sdpa& r) {
             r.query = Zeros({1, 64, 1024, 4});
             r.key = Zeros({1, 1, 1, 4});
             r.value = Zeros({1, 1, 1, 4});
           },
           "", "needs more memory than the 943724 bytes", "TOO_LARGE", kExhausted},
      },
      &GoodOperatorRequest);
  ExpectAccepted<Sdpa>({{"weights of just the limit",
                         [&](Sdpa& r) {
                           operands(1, 32, 32)(r);
                           r.options.weights = WeightsOutput::kPerHead;
                         }}},
                       &GoodOperatorRequest);
}

// The sizes are known from shapes: a request of a few bytes may ask for an answer of a GiB.
TEST_F(EngineValidation, RefusesAResponseAboveTheLimitBeforeItAllocates) {
  EngineOptions options = SmallLimits();
  options.max_weights_bytes = 1 << 20;
  options.max_response_bytes = 8192;
  Engine engine(options, layers_, budget_, Clock::Steady(), nullptr);
  const auto expect_refused = [&](Request request, const std::string& field,
                                  const std::string& words) {
    const absl::Status status = Call(engine, std::move(request)).status();
    EXPECT_EQ(status.code(), kInvalid);
    EXPECT_EQ(std::string(status.message()), absl::StrCat(field, words));
    EXPECT_EQ(GetErrorInfo(status).reason, "RESPONSE_TOO_LARGE");
    EXPECT_EQ(GetErrorInfo(status).field, field);
    EXPECT_EQ(engine.stats().in_flight_bytes, 0);
  };
  const auto make = [](Shape query, Shape key, Shape value, DataType type = DataType::kFloat32) {
    Sdpa request;
    request.query = Zeros(std::move(query), type);
    request.key = Zeros(std::move(key), type);
    request.value = Zeros(std::move(value), type);
    return request;
  };
  expect_refused(make({1, 3, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 4096}), "query",
                 ": the response may have 8192 bytes on this server; it would have 49152 bytes of "
                 "output [1, 3, 1, 4096]");
  Sdpa weights = make({1, 32, 1, 1}, {1, 64, 1, 1}, {1, 64, 1, 1});
  weights.options.weights = WeightsOutput::kMean;
  expect_refused(std::move(weights), "options.weights",
                 ": the response may have 8192 bytes on this server; it would have 128 bytes of "
                 "output [1, 32, 1, 1] and 8192 bytes of weights [1, 32, 64]");
  Sdpa log_sum_exp = make({1, 32, 60, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}, kBf16);
  log_sum_exp.options.log_sum_exp = true;
  expect_refused(std::move(log_sum_exp), "options.log_sum_exp",
                 ": the response may have 8192 bytes on this server; it would have 3840 bytes of "
                 "output [1, 32, 60, 1] and 7680 bytes of log-sum-exp [1, 60, 32]");
  Mha layer;
  layer.layer = "self";
  layer.query = Zeros({1, 48, 16});
  layer.options.weights = WeightsOutput::kMean;
  expect_refused(std::move(layer), "options.weights",
                 ": the response may have 8192 bytes on this server; it would have 3072 bytes of "
                 "output [1, 48, 16] and 9216 bytes of weights [1, 48, 48]");
  const absl::StatusOr<Response> largest =
      Call(engine, make({1, 64, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 32}));
  ASSERT_TRUE(largest.ok()) << largest.status();
  EXPECT_EQ(largest->output.byte_size(), 8192u);
}

TEST_F(EngineValidation, KnowsTheMostHeadsOfAnyRequest) {
  EngineOptions options = SmallLimits();
  options.max_heads = 1;
  const Engine few(options, layers_, budget_, Clock::Steady(), nullptr);
  EXPECT_EQ(few.max_heads(), layers_.Find("self")->config().num_heads);
  EXPECT_GT(few.max_heads(), 1);
  EXPECT_EQ(engine_.max_heads(), 1024);
}

TEST_F(EngineValidation, LetsAnythingOfSizeZeroThrough) {
  const auto operands = [](std::vector<int64_t> query, std::vector<int64_t> key) {
    return [=](Sdpa& r) {
      r.query = Zeros(Shape(query.begin(), query.end()));
      r.key = Zeros(Shape(key.begin(), key.end()));
      r.value = Zeros(Shape(key.begin(), key.end()));
      r.options.weights = WeightsOutput::kPerHead;
    };
  };
  ExpectAccepted<Sdpa>({{"B = 0", operands({0, 3, 4, 8}, {0, 5, 2, 8})},
                        {"Lq = 0", operands({2, 0, 4, 8}, {2, 5, 2, 8})},
                        {"Lk = 0", operands({2, 3, 4, 8}, {2, 0, 2, 8})},
                        {"Tq = Tk = 0", operands({0, 4, 8}, {0, 2, 8})}},
                       &GoodOperatorRequest);
}

}  // namespace
}  // namespace attend
