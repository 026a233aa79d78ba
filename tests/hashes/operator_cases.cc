// SPDX-License-Identifier: Apache-2.0

// Cases of the operator: options, shapes, long keys, numbers that are not finite.

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/hashes/case.h"

namespace attend {
namespace {

using Form = OperatorShape::Form;
using Sdpa = ScaledDotProductAttentionRequest;

const NamedOptions kNoOptions = {"none", [](AttentionOptions&, const Shape&, Draw&) {}};

const NamedOptions kLogSumExp = {"log_sum_exp", [](AttentionOptions& options, const Shape&, Draw&) {
                                   options.log_sum_exp = true;
                                 }};

const NamedOptions kCausalEnd = {"causal", [](AttentionOptions& options, const Shape&, Draw&) {
                                   options.causal = true;
                                   options.alignment = Alignment::kEnd;
                                   options.log_sum_exp = true;
                                 }};

NamedOptions Window(int64_t left) {
  return {"window", [left](AttentionOptions& options, const Shape&, Draw&) {
            options.window_left = left;
            options.alignment = Alignment::kEnd;
          }};
}

void AddWidths(std::vector<Case>& cases) {
  const std::pair<int64_t, int64_t> widths[] = {
      {1, 1},   {7, 7},     {16, 16},   {31, 31}, {32, 32}, {33, 33},  {64, 64}, {80, 80},
      {96, 96}, {128, 128}, {256, 256}, {32, 80}, {80, 7},  {128, 64}, {1, 96},  {33, 31}};
  for (const auto& [width, value_width] : widths) {
    OperatorShape shape;
    shape.width = width;
    shape.value_width = value_width;
    const std::string size = absl::StrCat(width, "x", value_width);
    for (size_t type = 0; type < 3; ++type) {
      shape.type = TypeInTurn(type);
      shape.lengths = {{65, 100}};
      cases.push_back(MakeOperatorCase(
          absl::StrCat("width/", size, "/prefill/", ShortName(shape.type)), shape, kLogSumExp));
      shape.lengths = {{3, 300}};
      cases.push_back(MakeOperatorCase(
          absl::StrCat("width/", size, "/decode/", ShortName(shape.type)), shape, kLogSumExp));
    }
  }
}

void AddLengths(std::vector<Case>& cases) {
  size_t turn = 0;
  for (const int64_t length : {0, 1, 15, 16, 17, 63, 64, 65, 100, 129, 200, 300}) {
    const std::pair<int64_t, int64_t> both[] = {
        {length, length}, {length, 129}, {17, length}, {2, length}};
    for (const auto& [queries, keys] : both) {
      OperatorShape shape;
      shape.type = TypeInTurn(turn);
      shape.form = turn % 2 == 0 ? Form::kBlhd : Form::kBhld;
      shape.lengths = {{queries, keys}};
      ++turn;
      const std::string name = absl::StrCat("length/", length, "/", queries, "x", keys, "/");
      cases.push_back(MakeOperatorCase(name + ShortName(shape.type), shape, kLogSumExp));
      cases.push_back(
          MakeOperatorCase(name + "causal/" + ShortName(shape.type), shape, kCausalEnd));
    }
  }
}

void AddForms(std::vector<Case>& cases) {
  const std::pair<const char*, Form> forms[] = {
      {"packed", Form::kPacked}, {"blhd", Form::kBlhd}, {"bhld", Form::kBhld}};
  for (const auto& [name, form] : forms) {
    for (size_t type = 0; type < 3; ++type) {
      OperatorShape shape;
      shape.type = TypeInTurn(type);
      shape.form = form;
      shape.padding = 5;
      shape.lengths = {{0, 9}, {1, 1}, {15, 0}, {16, 64}, {65, 17}, {100, 129}, {3, 200}};
      const std::string at = absl::StrCat("form/", name, "/", ShortName(shape.type), "/");
      for (const NamedOptions& options : {kLogSumExp, kCausalEnd, Window(20)}) {
        cases.push_back(MakeOperatorCase(at + options.name, shape, options));
      }
    }
  }
}

void AddHeadCounts(std::vector<Case>& cases) {
  const std::pair<int64_t, int64_t> counts[] = {{1, 1},  {6, 1},   {8, 2}, {5, 5},
                                                {12, 4}, {16, 16}, {7, 1}};
  size_t turn = 0;
  for (const auto& [heads, kv_heads] : counts) {
    for (const int64_t queries : {1, 5, 40}) {
      OperatorShape shape;
      shape.heads = heads;
      shape.kv_heads = kv_heads;
      shape.type = TypeInTurn(turn++);
      shape.lengths = {{queries, 70}, {queries, 33}};
      cases.push_back(MakeOperatorCase(
          absl::StrCat("heads/", heads, "x", kv_heads, "/", queries, "/", ShortName(shape.type)),
          shape, kCausalEnd));
    }
  }
}

void AddDecodes(std::vector<Case>& cases) {
  size_t turn = 0;
  for (const int64_t keys : {600, 1100, 2500, 5000}) {
    for (const int64_t rows : {1, 2, 4, 8, 13, 16, 20, 32}) {
      OperatorShape shape;
      shape.lengths = {{rows, keys}};
      shape.width = shape.value_width = 64;
      for (const NamedOptions& options : {kLogSumExp, kCausalEnd, Window(700)}) {
        shape.type = TypeInTurn(turn++);
        shape.kv_heads = turn % 2 == 0 ? 1 : 2;
        cases.push_back(MakeOperatorCase(
            absl::StrCat("decode/", rows, "x", keys, "/", options.name, "/", ShortName(shape.type)),
            shape, options));
      }
    }
  }
  for (size_t type = 0; type < 3; ++type) {
    OperatorShape shape;
    shape.heads = 6;
    shape.kv_heads = 1;
    shape.type = TypeInTurn(type);
    shape.lengths = {{16, 4096}};
    shape.width = shape.value_width = 64;
    cases.push_back(MakeOperatorCase(
        absl::StrCat("decode/6x1_heads_16x4096/", ShortName(shape.type)), shape, kLogSumExp));
  }
}

void AddPrefills(std::vector<Case>& cases) {
  for (const int64_t rows : {260, 400, 600}) {
    for (size_t type = 0; type < 3; ++type) {
      OperatorShape shape;
      shape.type = TypeInTurn(type);
      shape.lengths = {{rows, rows}};
      // Many narrow heads: several query tiles share a pass over keys.
      shape.heads = shape.kv_heads = 16;
      shape.width = shape.value_width = 16;
      const std::string name = absl::StrCat("prefill/", rows, "/", ShortName(shape.type), "/");
      cases.push_back(MakeOperatorCase(name + "narrow", shape, kLogSumExp));
      shape.heads = 6;
      shape.kv_heads = 2;
      shape.width = shape.value_width = 64;
      cases.push_back(MakeOperatorCase(name + "wide", shape, kNoOptions));
      cases.push_back(MakeOperatorCase(name + "causal", shape, kCausalEnd));
    }
  }
}

constexpr int64_t kOnce = int64_t{1} << 40;  // a step beyond all rows

// Sets each `step`th element of rows [first, last) of sequence 0, beginning with their first.
void Poison(Tensor& tensor, int64_t first, int64_t last, int64_t step, float value) {
  const int64_t row = tensor.dim(2) * tensor.dim(3);
  const auto size = static_cast<int64_t>(ElementSize(tensor.type()));
  for (int64_t i = first * row; i < last * row; i += step) {
    ConvertFromFloat(&value, tensor.type(), tensor.data() + i * size, 1);
  }
}

struct Spoil {
  const char* name;
  void (*apply)(Sdpa& request);
};

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// The first three are in rows that nothing reads. Most of the others are one element, which
// turns some results into NaN and leaves the rest unchanged.
const Spoil kSpoils[] = {
    {"nan_beyond_length",
     [](Sdpa& r) {
       r.key_lengths = {r.key.dim(1) - 9};
       Poison(r.key, r.key.dim(1) - 9, r.key.dim(1), 1, kNan);
       Poison(r.value, r.value.dim(1) - 9, r.value.dim(1), 1, kNan);
     }},
    {"nan_masked",
     [](Sdpa& r) {
       r.options.mask = Tensor(DataType::kBool, {r.key.dim(1)});
       for (int64_t k = 0; k < r.key.dim(1); ++k) r.options.mask->data()[k] = std::byte{k >= 6};
       Poison(r.key, 0, 6, 1, kNan);
       Poison(r.value, 0, 6, 1, kInfinity);
     }},
    {"nan_ahead",
     [](Sdpa& r) {
       r.options.causal = true;
       r.options.query_offsets = {10};
       Poison(r.key, 12, 20, 1, kNan);
       Poison(r.value, 12, 20, 1, kNan);
     }},
    {"infinite_keys", [](Sdpa& r) { Poison(r.key, 4, 5, kOnce, kInfinity); }},
    {"minus_infinite_keys", [](Sdpa& r) { Poison(r.key, 6, 7, kOnce, -kInfinity); }},
    {"nan_keys", [](Sdpa& r) { Poison(r.key, 8, 9, kOnce, kNan); }},
    {"nan_values", [](Sdpa& r) { Poison(r.value, 8, 9, 3, kNan); }},
    {"infinite_values", [](Sdpa& r) { Poison(r.value, 3, 30, 7, kInfinity); }},
    {"nan_queries", [](Sdpa& r) { Poison(r.query, 1, 2, kOnce, kNan); }},
    {"infinite_queries", [](Sdpa& r) { Poison(r.query, 0, 1, kOnce, -kInfinity); }},
    {"infinite_values_ahead_of_some",
     [](Sdpa& r) {
       r.options.causal = true;
       r.options.alignment = Alignment::kEnd;
       Poison(r.value, r.value.dim(1) - 25, r.value.dim(1), 37, kInfinity);
     }},
    {"nan_values_masked_for_some",
     [](Sdpa& r) {
       r.options.mask = Tensor(DataType::kBool, {r.query.dim(1), r.key.dim(1)});
       for (size_t i = 0; i < r.options.mask->byte_size(); ++i) {
         r.options.mask->data()[i] = std::byte{i % 5 != 0};
       }
       Poison(r.value, 20, 23, 11, kNan);
     }},
    {"huge", [](Sdpa& r) { Poison(r.key, 0, 40, 2, 3e4f), Poison(r.query, 0, 2, 2, -3e4f); }},
    {"denormal",
     [](Sdpa& r) { Poison(r.key, 0, 40, 1, 1e-39f), Poison(r.value, 0, 9, 1, 1e-39f); }},
};

}  // namespace

std::vector<Case> OptionCases() {
  std::vector<Case> cases;
  size_t turn = 0;
  for (const NamedOptions& options : AllOptions()) {
    OperatorShape shape;
    shape.padding = 3;
    for (size_t type = 0; type < 3; ++type) {
      shape.lengths = {{37, 65}, {20, 41}};
      shape.type = TypeInTurn(type);
      shape.form = type == 2 ? Form::kPacked : Form::kBlhd;
      cases.push_back(MakeOperatorCase(
          absl::StrCat("options/", options.name, "/prefill/", ShortName(shape.type)), shape,
          options));
    }
    for (const int64_t keys : {90, 5000}) {
      shape.lengths = {{2, keys}, {1, keys / 2}};
      shape.type = TypeInTurn(turn++);
      shape.form = turn % 2 == 0 ? Form::kBlhd : Form::kBhld;
      cases.push_back(MakeOperatorCase(
          absl::StrCat("options/", options.name, "/decode_", keys, "/", ShortName(shape.type)),
          shape, options));
    }
  }
  return cases;
}

std::vector<Case> ShapeCases() {
  std::vector<Case> cases;
  AddWidths(cases);
  AddLengths(cases);
  AddForms(cases);
  AddHeadCounts(cases);
  return cases;
}

std::vector<Case> LongCases() {
  std::vector<Case> cases;
  AddDecodes(cases);
  AddPrefills(cases);
  return cases;
}

std::vector<Case> NonFiniteCases() {
  std::vector<Case> cases;
  for (const Spoil& spoil : kSpoils) {
    for (const int64_t queries : {2, 40}) {
      for (size_t type = 0; type < 3; ++type) {
        OperatorShape shape;
        shape.lengths = {{queries, 70}};
        shape.type = TypeInTurn(type);
        cases.push_back(
            {absl::StrCat("special/", spoil.name, "/", queries, "/", ShortName(shape.type)), "",
             [shape, apply = spoil.apply](Draw& draw) -> Request {
               Sdpa request = MakeOperatorRequest(shape, draw);
               apply(request);
               return request;
             }});
      }
    }
  }
  return cases;
}

}  // namespace attend
