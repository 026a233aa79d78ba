// SPDX-License-Identifier: Apache-2.0

// Results through the engine against ReferenceAttention on each sequence alone: forms, layouts,
// lengths, broadcast, padding. The kernels' numbers have their own tests; these check that
// kernels receive the right rows.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/attention/reference.h"
#include "core/engine/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/engine/test_requests.h"

namespace attend {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr int64_t kResultsBudget = int64_t{1} << 30;

EngineOptions TwoWorkers() {
  EngineOptions options;
  options.num_workers = 2;
  return options;
}

// A dense BLHD tensor of one sequence: rows [begin, begin + length) of sequence
// `batch` of `tensor`, whatever its layout.
Tensor Slice(const Tensor& tensor, Layout layout, int64_t batch, int64_t begin, int64_t length) {
  const bool packed = tensor.rank() == 3;
  const bool bhld = !packed && layout == Layout::kBhld;
  const int64_t heads = packed ? tensor.dim(1) : bhld ? tensor.dim(1) : tensor.dim(2);
  const int64_t rows = packed ? tensor.dim(0) : bhld ? tensor.dim(2) : tensor.dim(1);
  const int64_t width = tensor.dim(tensor.rank() - 1);
  const size_t row_bytes = static_cast<size_t>(width) * ElementSize(tensor.type());
  Tensor slice(tensor.type(), {1, length, heads, width});
  for (int64_t row = 0; row < length; ++row) {
    for (int64_t head = 0; head < heads; ++head) {
      const int64_t at = bhld ? (batch * heads + head) * rows + begin + row
                              : ((packed ? 0 : batch * rows) + begin + row) * heads + head;
      std::memcpy(slice.data() + static_cast<size_t>(row * heads + head) * row_bytes,
                  tensor.data() + static_cast<size_t>(at) * row_bytes, row_bytes);
    }
  }
  return slice;
}

struct Sequence {
  int64_t batch, query_begin, query_length, key_begin, key_length, offset;
};

// Bias and mask as [B, H, Lq, Lk] functions, from explicit index arithmetic.
int64_t BroadcastIndex(const Tensor& tensor, std::vector<int64_t> index) {
  int64_t at = 0;
  const int skip = 4 - tensor.rank();
  for (int axis = 0; axis < tensor.rank(); ++axis) {
    const int64_t i = tensor.dim(axis) == 1 ? 0 : index[static_cast<size_t>(axis + skip)];
    at = at * tensor.dim(axis) + i;
  }
  return at;
}

void ExpectNear(float got, float want, float tolerance, const std::string& where) {
  if (got == want) return;  // equal infinities too
  EXPECT_LE(std::fabs(got - want), tolerance) << where << ": got " << got << ", want " << want;
}

// Checks a response against the reference, sequence by sequence, padding
// included.
void CheckOperator(const ScaledDotProductAttentionRequest& request, const Response& response,
                   const std::vector<Sequence>& sequences, float tolerance) {
  const bool packed = request.query.rank() == 3;
  const int64_t heads = request.query.dim(packed || request.layout == Layout::kBhld ? 1 : 2);
  const int64_t width = request.query.dim(request.query.rank() - 1);
  const int64_t value_width = request.value.dim(request.value.rank() - 1);
  const DataType type = request.query.type();
  int64_t checked_output = 0, checked_logs = 0;
  std::vector<bool> weight_checked(
      response.weights.has_value() ? response.weights->byte_size() / 4 : 0, false);
  for (const Sequence& s : sequences) {
    const Tensor query =
        Slice(request.query, request.layout, s.batch, s.query_begin, s.query_length);
    const Tensor key = Slice(request.key, request.layout, s.batch, s.key_begin, s.key_length);
    const Tensor value = Slice(request.value, request.layout, s.batch, s.key_begin, s.key_length);
    Tensor want(DataType::kFloat32, {1, s.query_length, heads, value_width});
    const int64_t kv_heads = key.dim(2);

    std::vector<float> bias, weights;
    std::vector<std::byte> mask;
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < s.query_length; ++i) {
        for (int64_t j = 0; j < s.key_length; ++j) {
          if (request.options.bias.has_value()) {
            const Tensor& b = *request.options.bias;
            bias.push_back(LoadFloat(b.type(), b.data(), BroadcastIndex(b, {s.batch, h, i, j})));
          }
          if (request.options.mask.has_value()) {
            const Tensor& m = *request.options.mask;
            mask.push_back(m.data()[BroadcastIndex(m, {s.batch, h, i, j})]);
          }
        }
      }
    }
    AttentionParams params;
    AttentionProblem problem;
    problem.params = &params;
    problem.num_heads = heads;
    problem.num_kv_heads = kv_heads;
    problem.head_dim = width;
    problem.value_head_dim = value_width;
    params.scale = request.options.scale.value_or(1.0f / std::sqrt(static_cast<float>(width)));
    params.causal = request.options.causal;
    params.window_left = request.options.window_left;
    params.window_right = request.options.window_right;
    params.softcap = request.options.softcap.value_or(0.0f);
    params.sinks = request.options.sinks;
    params.weights_stage = request.options.weights_stage;
    params.log_sum_exp_head_stride = 1;
    params.log_sum_exp_row_stride = heads;
    std::vector<float> logs(static_cast<size_t>(s.query_length * heads));
    problem.input_type = type;
    problem.output_type = DataType::kFloat32;
    params.head_gates = request.options.head_gates;
    params.weights = request.options.weights;
    params.weights_head_stride = s.query_length * s.key_length;
    params.weights_row_stride = s.key_length;
    const int64_t weight_heads = params.weights == WeightsOutput::kPerHead ? heads : 1;
    weights.resize(static_cast<size_t>(weight_heads * s.query_length * s.key_length));
    SequenceProblem one;
    one.query_length = s.query_length;
    one.key_length = s.key_length;
    one.query_offset = s.offset;
    one.query = {query.data(), heads * width, width};
    one.key = {key.data(), kv_heads * width, width};
    one.value = {value.data(), kv_heads * value_width, value_width};
    one.output = {want.data(), heads * value_width, value_width};
    one.log_sum_exp = logs.data();
    if (request.options.alibi_slopes.has_value()) {
      const Tensor& slopes = *request.options.alibi_slopes;
      one.alibi_slopes = slopes.as<float>() + (slopes.rank() == 2 ? s.batch * heads : 0);
    }
    if (!bias.empty()) {
      one.bias = {reinterpret_cast<const std::byte*>(bias.data()), DataType::kFloat32,
                  s.query_length * s.key_length, s.key_length, 1};
    }
    if (!mask.empty()) {
      one.mask = {mask.data(), DataType::kBool, s.query_length * s.key_length, s.key_length, 1};
    }
    one.weights = params.weights == WeightsOutput::kNone ? nullptr : weights.data();
    problem.sequences = absl::MakeConstSpan(&one, 1);
    ReferenceAttention(problem);

    const Tensor got =
        Slice(response.output, request.layout, s.batch, s.query_begin, s.query_length);
    for (int64_t i = 0; i < s.query_length * heads * value_width; ++i, ++checked_output) {
      ExpectNear(LoadFloat(type, got.data(), i), want.as<float>()[i], tolerance,
                 "output of sequence " + std::to_string(s.batch) + " at " + std::to_string(i));
    }
    for (int64_t i = 0; i < s.query_length && response.log_sum_exp.has_value(); ++i) {
      for (int64_t h = 0; h < heads; ++h, ++checked_logs) {
        const Tensor& log = *response.log_sum_exp;
        const int64_t at =
            packed ? (s.query_begin + i) * heads + h : (s.batch * heads + h) * log.dim(2) + i;
        ExpectNear(log.as<float>()[at], logs[static_cast<size_t>(i * heads + h)], tolerance,
                   "log-sum-exp at " + std::to_string(at));
      }
    }
    if (!response.weights.has_value()) continue;
    const Tensor& w = *response.weights;
    const int64_t lq = w.dim(w.rank() - 2), lk = w.dim(w.rank() - 1);
    for (int64_t h = 0; h < weight_heads; ++h) {
      for (int64_t i = 0; i < s.query_length; ++i) {
        for (int64_t j = 0; j < s.key_length; ++j) {
          const int64_t at = ((s.batch * weight_heads + h) * lq + i) * lk + j;
          weight_checked[static_cast<size_t>(at)] = true;
          ExpectNear(w.as<float>()[at],
                     weights[static_cast<size_t>((h * s.query_length + i) * s.key_length + j)],
                     tolerance, "weights at " + std::to_string(at));
        }
      }
    }
  }
  // Rows that no sequence covers are padding: zero, or -inf in a log-sum-exp or a score.
  const float padding =
      request.options.weights_stage == WeightsStage::kProbabilities ? 0.0f : kMinusInfinity;
  const int64_t elements = static_cast<int64_t>(response.output.byte_size() / ElementSize(type));
  int64_t zeros = 0;
  for (int64_t i = 0; i < elements; ++i) {
    zeros += LoadFloat(type, response.output.data(), i) == 0.0f;
  }
  EXPECT_GE(zeros, elements - checked_output);
  for (size_t i = 0; i < weight_checked.size(); ++i) {
    EXPECT_TRUE(weight_checked[i] || response.weights->as<float>()[i] == padding) << i;
  }
  if (!response.log_sum_exp.has_value()) return;
  const int64_t logs = static_cast<int64_t>(response.log_sum_exp->byte_size() / sizeof(float));
  const float* log = response.log_sum_exp->as<float>();
  EXPECT_GE(std::count(log, log + logs, kMinusInfinity), logs - checked_logs);
}

// The padding would spoil every result that reads it.
void PoisonPadding(Tensor& tensor, const std::vector<int64_t>& lengths, Layout layout) {
  const bool bhld = layout == Layout::kBhld;
  const int64_t heads = tensor.dim(bhld ? 1 : 2), rows = tensor.dim(bhld ? 2 : 1);
  const int64_t width = tensor.dim(3);
  const float nan = std::nanf("");
  for (int64_t b = 0; b < tensor.dim(0); ++b) {
    for (int64_t row = lengths[static_cast<size_t>(b)]; row < rows; ++row) {
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t at = bhld ? (b * heads + h) * rows + row : (b * rows + row) * heads + h;
        for (int64_t d = 0; d < width; ++d) {
          ConvertFromFloat(
              &nan, tensor.type(),
              tensor.data() + static_cast<size_t>(at * width + d) * ElementSize(tensor.type()), 1);
        }
      }
    }
  }
}

Tensor RandomMask(std::mt19937& random, Shape shape) {
  Tensor mask(DataType::kBool, std::move(shape));
  for (size_t i = 0; i < mask.byte_size(); ++i) mask.data()[i] = std::byte(random() % 4 != 0);
  return mask;
}

Shape OperandShape(Layout layout, int64_t b, int64_t l, int64_t h, int64_t d) {
  return layout == Layout::kBlhd ? Shape{b, l, h, d} : Shape{b, h, l, d};
}

// Draws shapes, forms and options, and checks each problem against the reference.
TEST(EngineResults, OfTheOperatorEqualTheReference) {
  const unsigned seed = 4711;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const LayerRegistry layers;
  MemoryBudget budget(kResultsBudget);
  Engine engine(TwoWorkers(), layers, budget, Clock::Steady(), nullptr);
  const auto pick = [&](std::vector<int64_t> from) { return from[random() % from.size()]; };
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    const DataType type = std::vector<DataType>{DataType::kFloat32, DataType::kFloat16,
                                                DataType::kBFloat16}[random() % 3];
    const int64_t kv_heads = pick({1, 2, 3}), heads = kv_heads * pick({1, 2}), d = pick({1, 8, 17});
    const int64_t dv = random() % 2 == 0 ? d : pick({1, 5, 32});
    const int64_t batch = pick({1, 2, 5});
    const bool packed = random() % 3 == 0;
    ScaledDotProductAttentionRequest request;
    request.layout = packed || random() % 2 == 0 ? Layout::kBlhd : Layout::kBhld;
    std::vector<int64_t> lq, lk;
    for (int64_t b = 0; b < batch; ++b) {
      lq.push_back(pick({0, 1, 3, 13}));
      lk.push_back(random() % 2 == 0 ? lq.back() : pick({0, 1, 7, 33}));
    }
    const int64_t max_q = *std::max_element(lq.begin(), lq.end());
    const int64_t max_k = *std::max_element(lk.begin(), lk.end());
    std::vector<Sequence> sequences;
    int64_t tq = 0, tk = 0;
    for (int64_t b = 0; b < batch; ++b) {
      const size_t i = static_cast<size_t>(b);
      sequences.push_back({b, packed ? tq : 0, lq[i], packed ? tk : 0, lk[i], 0});
      tq += lq[i];
      tk += lk[i];
    }
    const int64_t axis_q = packed ? max_q : max_q + pick({0, 2});
    const int64_t axis_k = packed ? max_k : max_k + pick({0, 3});
    if (packed) {
      request.query = RandomTensor(random, {tq, heads, d}, type);
      request.key = RandomTensor(random, {tk, kv_heads, d}, type);
      request.value = RandomTensor(random, {tk, kv_heads, dv}, type);
    } else {
      request.query =
          RandomTensor(random, OperandShape(request.layout, batch, axis_q, heads, d), type);
      request.key =
          RandomTensor(random, OperandShape(request.layout, batch, axis_k, kv_heads, d), type);
      request.value =
          RandomTensor(random, OperandShape(request.layout, batch, axis_k, kv_heads, dv), type);
      PoisonPadding(request.query, lq, request.layout);
      PoisonPadding(request.key, lk, request.layout);
      PoisonPadding(request.value, lk, request.layout);
    }
    request.query_lengths = lq;
    request.key_lengths = lk;
    const auto broadcast_shape = [&] {
      const Shape full = {batch, heads, axis_q, axis_k};
      const size_t rank = 1 + random() % 4;
      Shape shape;
      for (size_t axis = 4 - rank; axis < 4; ++axis) {
        shape.push_back(random() % 3 == 0 ? 1 : full[axis]);
      }
      return shape;
    };
    if (random() % 3 == 0) request.options.bias = RandomTensor(random, broadcast_shape(), type);
    if (random() % 3 == 0) request.options.mask = RandomMask(random, broadcast_shape());
    if (random() % 3 == 0) request.options.scale = 0.5f;
    if (random() % 3 == 0) {
      for (int64_t h = 0; h < heads; ++h) {
        request.options.head_gates.push_back(static_cast<float>(random() % 3));
      }
    }
    if (random() % 3 == 0) request.options.softcap = 1.5f;
    if (random() % 3 == 0) {
      for (int64_t h = 0; h < heads; ++h) {
        request.options.sinks.push_back(static_cast<float>(random() % 5) - 2.0f);
      }
    }
    request.options.log_sum_exp = random() % 2 == 0;
    if (random() % 4 == 0) request.options.window_left = pick({0, 1, 6});
    if (random() % 4 == 0) request.options.window_right = pick({0, 1, 6});
    if (random() % 3 == 0) {
      request.options.alibi_slopes =
          RandomTensor(random, random() % 2 == 0 ? Shape{heads} : Shape{batch, heads});
    }
    request.options.causal = random() % 2 == 0;
    if (request.options.causal || request.options.window_left.has_value() ||
        request.options.window_right.has_value() || request.options.alibi_slopes.has_value()) {
      switch (random() % 3) {
        case 0:
          request.options.alignment = Alignment::kStart;
          break;
        case 1:
          request.options.alignment = Alignment::kEnd;
          for (Sequence& s : sequences) s.offset = s.key_length - s.query_length;
          break;
        default:
          for (Sequence& s : sequences) {
            s.offset = static_cast<int64_t>(random() % 20) - 8;
            request.options.query_offsets.push_back(s.offset);
          }
      }
    }
    request.options.weights = std::vector<WeightsOutput>{
        WeightsOutput::kNone, WeightsOutput::kPerHead, WeightsOutput::kMean}[random() % 3];

    if (request.options.weights == WeightsOutput::kPerHead) {
      request.options.weights_stage = static_cast<WeightsStage>(random() % 4);
    }

    const absl::StatusOr<Response> response = Call(engine, Copy(request));
    ASSERT_TRUE(response.ok()) << response.status();
    Shape shape = request.query.shape();
    shape.back() = dv;
    EXPECT_EQ(response->output.shape(), shape);
    EXPECT_EQ(response->log_sum_exp.has_value(), request.options.log_sum_exp);
    EXPECT_EQ(response->output.type(), type);
    EXPECT_EQ(response->timing.batch_requests, 1);
    EXPECT_EQ(response->timing.batch_tokens, tq);
    const float tolerance = type == DataType::kFloat32   ? 2e-5f
                            : type == DataType::kFloat16 ? 8e-3f
                                                         : 6e-2f;
    CheckOperator(request, *response, sequences, tolerance);
  }
}

// Computes one sequence of self-attention through its layer, dense and alone.
Tensor Alone(Engine& engine, const MultiHeadAttentionRequest& like, Tensor query) {
  MultiHeadAttentionRequest request;
  request.layer = like.layer;
  request.query = std::move(query);
  request.options.causal = like.options.causal;
  absl::StatusOr<Response> response = Call(engine, std::move(request));
  EXPECT_TRUE(response.ok()) << response.status();
  return std::move(response->output);
}

Tensor RowsOf(const Tensor& tensor, int64_t begin, int64_t count) {
  const int64_t width = tensor.dim(tensor.rank() - 1);
  const size_t row = static_cast<size_t>(width) * ElementSize(tensor.type());
  Tensor rows(tensor.type(), {1, count, width});
  if (count > 0) {
    std::memcpy(rows.data(), tensor.data() + static_cast<size_t>(begin) * row,
                static_cast<size_t>(count) * row);
  }
  return rows;
}

void ExpectRows(const Tensor& got, int64_t begin, const Tensor& want) {
  const Tensor rows = RowsOf(got, begin, want.dim(1));
  EXPECT_EQ(rows.byte_size(), want.byte_size());
  if (want.byte_size() == 0) return;
  EXPECT_EQ(std::memcmp(rows.data(), want.data(), want.byte_size()), 0) << "rows from " << begin;
}

// Whatever form the sequences have, each has the bits that it has alone, and padding is 0. The
// layer's own tests compare a sequence alone with the formula.
TEST(EngineResults, OfALayerDoNotDependOnTheForm) {
  const unsigned seed = 4712;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  LayerRegistry layers;
  ASSERT_TRUE(layers.Add(MakeTestLayer("self", 24, 24, 24)).ok());
  MemoryBudget budget(kResultsBudget);
  Engine engine(TwoWorkers(), layers, budget, Clock::Steady(), nullptr);
  for (const DataType type : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16}) {
    for (const bool causal : {false, true}) {
      const std::vector<int64_t> lengths = {5, 0, 1, 37};
      MultiHeadAttentionRequest packed, dense;
      packed.layer = dense.layer = "self";
      packed.options.causal = dense.options.causal = causal;
      packed.query_lengths = dense.query_lengths = lengths;
      packed.query = RandomTensor(random, {43, 24}, type);
      dense.query = RandomTensor(random, {4, 40, 24}, type);
      const absl::StatusOr<Response> of_packed = Call(engine, Copy(packed));
      const absl::StatusOr<Response> of_dense = Call(engine, Copy(dense));
      ASSERT_TRUE(of_packed.ok()) << of_packed.status();
      ASSERT_TRUE(of_dense.ok()) << of_dense.status();
      EXPECT_EQ(of_packed->output.shape(), packed.query.shape());
      EXPECT_EQ(of_dense->output.shape(), dense.query.shape());
      int64_t begin = 0;
      for (int64_t b = 0; b < 4; ++b) {
        const int64_t length = lengths[static_cast<size_t>(b)];
        ExpectRows(of_packed->output, begin,
                   Alone(engine, packed, RowsOf(packed.query, begin, length)));
        ExpectRows(of_dense->output, b * 40,
                   Alone(engine, dense, RowsOf(dense.query, b * 40, length)));
        ExpectRows(of_dense->output, b * 40 + length, Zeros({1, 40 - length, 24}, type));
        begin += length;
      }
    }
  }
}

std::unique_ptr<const Layer> LayerWith(std::string name, float softcap, std::optional<int64_t> left,
                                       std::optional<int64_t> right) {
  return MakeTestLayer(std::move(name), 24, 24, 24, 4, 2, 8, [&](LayerConfig& config) {
    config.softcap = softcap;
    config.window_left = left;
    config.window_right = right;
  });
}

// The checkpoint's settings hold if the request sets nothing, option by option.
TEST(EngineResults, OfALayerUseItsSoftcapAndWindows) {
  LayerRegistry layers;
  ASSERT_TRUE(layers.Add(LayerWith("plain", 0.0f, {}, {})).ok());
  ASSERT_TRUE(layers.Add(LayerWith("set", 0.25f, 3, 1)).ok());
  MemoryBudget budget(kResultsBudget);
  Engine engine(TwoWorkers(), layers, budget, Clock::Steady(), nullptr);
  std::mt19937 random(4715);
  MultiHeadAttentionRequest request;
  request.query = RandomTensor(random, {1, 9, 24});
  const auto output = [&](const std::string& layer, std::optional<float> softcap,
                          std::optional<int64_t> left, std::optional<int64_t> right) {
    MultiHeadAttentionRequest copy = Copy(request);
    copy.layer = layer;
    copy.options.softcap = softcap;
    copy.options.window_left = left;
    copy.options.window_right = right;
    const absl::StatusOr<Response> response = Call(engine, std::move(copy));
    EXPECT_TRUE(response.ok()) << response.status();
    const float* data = response->output.as<float>();
    return std::vector<float>(data, data + 9 * 24);
  };
  EXPECT_EQ(output("set", {}, {}, {}), output("plain", 0.25f, 3, 1));
  EXPECT_EQ(output("set", 2.0f, {}, {}), output("plain", 2.0f, 3, 1));
  EXPECT_EQ(output("set", {}, 0, {}), output("plain", 0.25f, 0, 1));
  EXPECT_EQ(output("set", {}, {}, 5), output("plain", 0.25f, 3, 5));
  EXPECT_NE(output("set", {}, {}, {}), output("plain", {}, 3, 1));
  EXPECT_NE(output("set", {}, {}, {}), output("plain", 0.25f, {}, 1));
}

// Inputs that serve as key and value give the same result whether given or left out.
TEST(EngineResults, OfALayerTakeQueryForAbsentKeyAndValue) {
  std::mt19937 random(4713);
  LayerRegistry layers;
  ASSERT_TRUE(layers.Add(MakeTestLayer("self", 24, 24, 24)).ok());
  MemoryBudget budget(kResultsBudget);
  Engine engine(TwoWorkers(), layers, budget, Clock::Steady(), nullptr);
  MultiHeadAttentionRequest absent;
  absent.layer = "self";
  absent.query = RandomTensor(random, {2, 9, 24});
  MultiHeadAttentionRequest key = Copy(absent), both = Copy(absent);
  key.key = Copy(absent.query);
  both.key = Copy(absent.query);
  both.value = Copy(absent.query);
  const absl::StatusOr<Response> want = Call(engine, std::move(absent));
  for (MultiHeadAttentionRequest* request : {&key, &both}) {
    const absl::StatusOr<Response> got = Call(engine, std::move(*request));
    ASSERT_TRUE(got.ok()) << got.status();
    ASSERT_EQ(std::memcmp(got->output.data(), want->output.data(), want->output.byte_size()), 0);
  }
}

// A layer's answer for a row that reads nothing is its output bias.
TEST(EngineResults, OfALayerWithoutKeysAreItsOutputBias) {
  LayerRegistry layers;
  ASSERT_TRUE(layers.Add(MakeTestLayer("self", 24, 24, 24)).ok());
  MemoryBudget budget(kResultsBudget);
  Engine engine(TwoWorkers(), layers, budget, Clock::Steady(), nullptr);
  MultiHeadAttentionRequest empty, masked;
  empty.layer = masked.layer = "self";
  std::mt19937 random(4714);
  empty.query = RandomTensor(random, {1, 3, 24});
  masked.query = Copy(empty.query);
  empty.key = Zeros({1, 0, 24});
  masked.options.mask = Zeros({1}, DataType::kBool);
  const absl::StatusOr<Response> of_empty = Call(engine, std::move(empty));
  const absl::StatusOr<Response> of_masked = Call(engine, std::move(masked));
  ASSERT_TRUE(of_empty.ok()) << of_empty.status();
  ASSERT_TRUE(of_masked.ok()) << of_masked.status();
  const float* const rows = of_empty->output.as<float>();
  for (int64_t i = 0; i < 3 * 24; ++i) {
    EXPECT_EQ(rows[i], rows[i % 24]);
    EXPECT_EQ(rows[i], of_masked->output.as<float>()[i]);
  }
}

// Requests with nothing to compute neither fail nor hang.
TEST(EngineResults, OfNothingAreEmpty) {
  LayerRegistry layers;
  ASSERT_TRUE(layers.Add(MakeTestLayer("self", 24, 24, 24)).ok());
  MemoryBudget budget(kResultsBudget);
  Engine engine(TwoWorkers(), layers, budget, Clock::Steady(), nullptr);
  for (const Shape& shape : {Shape{0, 24}, Shape{0, 7, 24}, Shape{3, 0, 24}}) {
    MultiHeadAttentionRequest request;
    request.layer = "self";
    request.query = Zeros(shape);
    request.options.weights = WeightsOutput::kPerHead;
    request.options.log_sum_exp = true;
    const absl::StatusOr<Response> response = Call(engine, std::move(request));
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->output.shape(), shape);
    EXPECT_EQ(response->weights->byte_size(), 0u);
    EXPECT_EQ(response->log_sum_exp->byte_size(), 0u);
    EXPECT_EQ(response->timing.batch_tokens, 0);
  }
}

}  // namespace
}  // namespace attend
