// SPDX-License-Identifier: Apache-2.0

// Options of attention in the kernels, one at a time: what each must not compute,
// not read and not lose. Numbers over all of them together: kernel_test.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "core/attention/attention.h"
#include "core/tensor/convert.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/attention/compare.h"
#include "tests/core/attention/random_problem.h"

namespace attend {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Variants : public ::testing::TestWithParam<DataType> {};

INSTANTIATE_TEST_SUITE_P(Types, Variants,
                         ::testing::Values(DataType::kFloat32, DataType::kFloat16,
                                           DataType::kBFloat16),
                         [](const auto& param) { return std::string(Name(param.param)); });

TEST_P(Variants, WindowsMatchTheReferenceAtEveryOffsetAndEdge) {
  const std::vector<std::optional<int64_t>> windows = {std::nullopt, 0, 1, 15, 16, 17, 63, 64, 100};
  uint32_t seed = 0;
  for (const auto& left : windows) {
    for (const auto& right : windows) {
      for (const bool causal : {false, true}) {
        Draw draw(++seed);
        ProblemShape shape;
        shape.num_kv_heads = 1;
        shape.num_heads = draw.Of<int64_t>({1, 3});
        shape.head_dim = shape.value_head_dim = 4;
        shape.type = GetParam();
        const int64_t queries = draw.Of<int64_t>({1, 5, 64, 65, 129});
        const int64_t keys = draw.Of<int64_t>({1, 16, 65, 128, 200});
        shape.lengths = {{queries, keys}, {7, 7}};
        RandomProblem random(shape, seed);
        random.params.causal = causal;
        random.params.window_left = left;
        random.params.window_right = right;
        random.sequences[0].query_offset = draw.Of<int64_t>(
            {0, keys - queries, -queries, keys, 17, -3, keys + 50, kFarPosition, -kFarPosition});
        random.AskForLogSumExp(true);
        random.AskForWeights(WeightsOutput::kPerHead);
        ExpectMatchesReference(random, "windows, seed " + std::to_string(seed));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(Variants, HeadsOfAnyWidthMatchTheReference) {
  for (int64_t width = 1; width <= 512; width += width < 70 ? 1 : 29) {
    ProblemShape shape;
    shape.head_dim = width;
    shape.value_head_dim = 513 - width;
    shape.lengths = {{3, 21}};
    shape.type = GetParam();
    for (const int64_t swap : {0, 1}) {
      if (swap == 1) std::swap(shape.head_dim, shape.value_head_dim);
      RandomProblem random(shape, static_cast<uint32_t>(width));
      ExpectMatchesReference(random, "width");
      if (HasFatalFailure()) return;
    }
  }
}

// tanh over all magnitudes, each score of its own key.
TEST(VariantsOfScores, SoftcapIsAsAccurateAsFloat) {
  std::vector<float> scores;
  for (float x = 1e-38f; x < 1e30f; x *= 1.07f) scores.insert(scores.end(), {x, -x});
  for (const float x : {0.0f, -0.0f, 0.624999f, 0.625f, 9.0f, kInfinity, -kInfinity, kNaN}) {
    scores.push_back(x);
  }
  for (const float cap : {1e-30f, 0.5f, 1.0f, 50.0f, 1e30f}) {
    const int64_t keys = static_cast<int64_t>(scores.size());
    RandomProblem random({.lengths = {{2, keys}}}, 1);
    random.params.scale = 1.0f;
    random.params.softcap = cap;
    for (int64_t key = 0; key < keys; ++key) random.SetKey(0, key, scores[key]);
    random.SetQuery(0, 0, 1.0f);
    random.SetQuery(0, 1, -1.0f);
    random.AskForWeights(WeightsOutput::kPerHead, WeightsStage::kSoftcapped);
    Compute(random);
    const std::vector<float>& got = random.Weights(0);
    for (int64_t key = 0; key < keys; ++key) {
      const double truth = cap * std::tanh(static_cast<double>(scores[key]) / cap);
      for (const int64_t row : {0, 1}) {
        const double want = row == 0 ? truth : -truth;
        const float have = got[row * random.params.weights_row_stride + key];
        ASSERT_EQ(std::isnan(want), std::isnan(have)) << scores[key];
        if (std::isnan(want)) continue;
        // Denormal numbers, and results that underflow on the way, lose relative precision.
        ASSERT_LE(std::fabs(have - want), std::fabs(want) * 4 * 0x1p-24 + cap * 0x1p-126 + 0x1p-126)
            << "of " << scores[key] << ", cap " << cap;
      }
    }
  }
}

// Key rows that no query row may read lie on pages that may not be touched.
class GuardedRows {
 public:
  // `rows` of `row_bytes`, in groups of whole pages.
  GuardedRows(int64_t rows, int64_t row_bytes) : size_(static_cast<size_t>(rows * row_bytes)) {
    data_ = static_cast<std::byte*>(
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  GuardedRows(const GuardedRows&) = delete;
  ~GuardedRows() { munmap(data_, size_); }
  std::byte* data() { return data_; }

  // Whole pages outside bytes [begin, end) can no longer be read.
  void ForbidOutside(int64_t begin, int64_t end) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t first = begin / page * page, last = (end + page - 1) / page * page;
    ASSERT_EQ(mprotect(data_, first, PROT_NONE), 0);
    ASSERT_EQ(mprotect(data_ + last, size_ - last, PROT_NONE), 0);
  }

 private:
  size_t size_;
  std::byte* data_;
};

// Prefill and decode must not read the keys that causal, windows and lengths keep from all rows.
TEST_P(Variants, KeysOutOfReachAreNeverTouched) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t capacity = 400;  // rows of memory; keys behind the length are padding
  struct Case {
    std::optional<int64_t> left, right;
    bool causal;
    int64_t offset, keys;
  };
  for (const Case& test :
       {Case{10, std::nullopt, true, 200, 400}, Case{10, 3, false, 200, 400},
        Case{0, 0, false, 150, 400}, Case{std::nullopt, std::nullopt, true, 33, 400},
        Case{5, std::nullopt, false, 390, 400}, Case{20, 20, false, -60, 400},
        Case{20, 20, false, 500, 400}, Case{std::nullopt, std::nullopt, false, 0, 150},
        Case{std::nullopt, std::nullopt, true, 130, 150}, Case{30, 5, false, 140, 150},
        Case{std::nullopt, std::nullopt, false, 0, 0}}) {
    for (const int64_t queries : {2, 70}) {
      ProblemShape shape;
      shape.num_heads = 2;
      shape.type = GetParam();
      const int64_t element = static_cast<int64_t>(ElementSize(shape.type));
      shape.head_dim = shape.value_head_dim = page / element;  // one row per page
      shape.lengths = {{queries, capacity}};
      RandomProblem random(shape, 5);
      GuardedRows key(capacity, page), value(capacity, page);
      SequenceProblem& s = random.sequences[0];
      std::memcpy(key.data(), s.key.data, capacity * page);
      std::memcpy(value.data(), s.value.data, capacity * page);
      s.key_length = test.keys;
      s.query_offset = test.offset;
      random.params.causal = test.causal;
      random.params.window_left = test.left;
      random.params.window_right = test.right;
      random.AskForWeights(WeightsOutput::kPerHead, WeightsStage::kBiased);
      Compute(random);
      const std::vector<float> output = random.Output(), weights = random.Weights(0);
      random.ClearResults();
      // The boundaries are the first key of the first row and the key behind the last of the
      // last row.
      const int64_t last = test.offset + queries - 1;
      const int64_t begin =
          std::clamp<int64_t>(test.left ? test.offset - *test.left : 0, 0, test.keys);
      int64_t end = test.keys;
      if (test.right) end = std::min(end, last + *test.right + 1);
      if (test.causal) end = std::min(end, last + 1);
      s.key.data = key.data();
      s.value.data = value.data();
      key.ForbidOutside(begin * page, std::max(begin, end) * page);
      value.ForbidOutside(begin * page, std::max(begin, end) * page);
      Compute(random);
      EXPECT_EQ(output, random.Output());
      EXPECT_EQ(weights, random.Weights(0));
    }
  }
}

// 0 * NaN is NaN: keys that some rows of a tile read and others do not must not spread it.
TEST_P(Variants, WhatAWindowLeavesOutChangesNoBit) {
  for (const float poison : {kNaN, kInfinity, -kInfinity}) {
    ProblemShape shape;
    shape.num_heads = 2;
    shape.head_dim = 16;
    shape.value_head_dim = 5;
    shape.lengths = {{130, 200}};
    shape.type = GetParam();
    RandomProblem clean(shape, 5), poisoned(shape, 5);
    const int64_t bad = 90;
    poisoned.SetKey(0, bad, poison);
    poisoned.SetValue(0, bad, poison);
    for (RandomProblem* random : {&clean, &poisoned}) {
      random->params.window_left = 20;
      random->params.window_right = 9;
      random->params.softcap = 3.0f;
      random->sequences[0].query_offset = 30;
      random->AddAlibi(0);
      random->AddSinks();
      random->AskForLogSumExp(false);
      Compute(*random);
    }
    const std::vector<float> a = clean.Output(), b = poisoned.Output();
    const std::vector<float> log_a = clean.LogSumExp(), log_b = poisoned.LogSumExp();
    for (int64_t row = 0; row < 130; ++row) {
      const int64_t position = 30 + row;
      if (bad >= position - 20 && bad <= position + 9) continue;
      for (int64_t i = row * 10; i < row * 10 + 10; ++i) ASSERT_EQ(a[i], b[i]) << "row " << row;
      for (int64_t i = row * 2; i < row * 2 + 2; ++i) ASSERT_EQ(log_a[i], log_b[i]);
    }
  }
}

TEST_P(Variants, SinksFarFromTheScoresLoseNothing) {
  for (const float sink : {-kInfinity, -1e30f, -200.0f, -3.0f, 80.0f, 100.0f, 1e4f, 3e38f}) {
    ProblemShape shape;
    shape.num_heads = 2;
    shape.head_dim = shape.value_head_dim = 8;
    shape.lengths = {{5, 40}, {3, 0}};
    shape.type = GetParam();
    for (const float scale : {0.3f, 1e-25f, -0.3f}) {
      RandomProblem random(shape, 7);
      random.params.scale = scale;
      random.params.sinks = {sink, 0.5f};
      random.AskForLogSumExp(true);
      random.AskForWeights(WeightsOutput::kMean);
      ExpectMatchesReference(random, "sink " + std::to_string(sink));
    }
  }
}

// A NaN must stay NaN whatever its payload. Symptom: one in 2^9 payloads of the low bits
// vanished in the exponential.
TEST_P(Variants, NaNsOfAnyPayloadPropagate) {
  for (const uint32_t bits : {0x7fc00000u, 0x7fc00001u, 0x7fffffffu, 0xffc00123u, 0x7f800001u}) {
    float nan;
    std::memcpy(&nan, &bits, sizeof(nan));
    ProblemShape shape;
    shape.head_dim = shape.value_head_dim = 4;
    shape.lengths = {{3, 20}};
    shape.type = GetParam();
    RandomProblem random(shape, 7);
    random.SetKey(0, 13, nan);
    random.AskForLogSumExp(true);
    random.AskForWeights(WeightsOutput::kPerHead);
    Compute(random);
    for (const float value : random.Output()) EXPECT_TRUE(std::isnan(value)) << bits;
    for (const float value : random.LogSumExp()) EXPECT_TRUE(std::isnan(value)) << bits;
  }
}

TEST_P(Variants, GatedHeadsAndRowsWithoutKeysHaveTheirFill) {
  ProblemShape shape;
  shape.num_heads = 3;
  shape.head_dim = shape.value_head_dim = 4;
  shape.lengths = {{70, 30}};
  shape.type = GetParam();
  for (const WeightsStage stage : {WeightsStage::kProbabilities, WeightsStage::kScaled,
                                   WeightsStage::kSoftcapped, WeightsStage::kBiased}) {
    RandomProblem random(shape, 7);
    random.params.head_gates = {1, 0, 1};
    random.params.window_left = random.params.window_right = 2;
    random.sequences[0].query_offset = -10;
    random.params.sinks = {1, 2, -kInfinity};
    random.AskForLogSumExp(true);
    random.AskForWeights(WeightsOutput::kPerHead, stage);
    ExpectMatchesReference(random, "fill");
    const float fill = stage == WeightsStage::kProbabilities ? 0.0f : -kInfinity;
    for (int64_t row = 0; row < 70; ++row) {
      const float* head1 = random.sequences[0].weights + random.params.weights_head_stride +
                           row * random.params.weights_row_stride;
      for (int64_t key = 0; key < 30; ++key) ASSERT_EQ(head1[key], fill);
      ASSERT_EQ(random.LogSumExp()[row * 3 + 1], -kInfinity);
    }
  }
}

}  // namespace
}  // namespace attend
