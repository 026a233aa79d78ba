// SPDX-License-Identifier: Apache-2.0

// Once a shape class is warm, a call of the operator or of a layer allocates no memory and
// creates no primitive of oneDNN. This program's malloc counts; so do its wrappers around
// oneDNN's functions. What oneDNN allocates by itself while it runs a primitive (2.6.3: the
// map of its arguments, each time) is not ours to remove and not counted.

#include <dlfcn.h>
#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <dnnl.hpp>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/attention/attention.h"
#include "core/layer/layer.h"
#include "core/layer/layer_batch.h"
#include "core/simd/cpu.h"
#include "core/tensor/convert.h"
#include "gtest/gtest.h"
#include "tests/core/attention/compare.h"
#include "tests/core/attention/random_problem.h"
#include "tests/support/matmul_from_environment.h"

namespace {

std::atomic<int64_t> allocations{0};
std::atomic<int64_t> primitives{0};
thread_local int in_primitive = 0;

void CountAllocation() {
  if (in_primitive == 0) allocations.fetch_add(1, std::memory_order_relaxed);
}

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// glibc lets a program define malloc, and keeps its own under these names.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t bytes) {
  CountAllocation();
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  CountAllocation();
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, size_t bytes) {
  CountAllocation();
  return __libc_realloc(memory, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  CountAllocation();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  CountAllocation();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  CountAllocation();
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) {
  __libc_free(memory);
}

dnnl_status_t dnnl_primitive_create(dnnl_primitive_t* primitive,
                                    const_dnnl_primitive_desc_t description) {
  static auto* const next = Next<decltype(dnnl_primitive_create)>("dnnl_primitive_create");
  primitives.fetch_add(1);
  return next(primitive, description);
}

dnnl_status_t dnnl_primitive_execute(const_dnnl_primitive_t primitive, dnnl_stream_t stream,
                                     int count, const dnnl_exec_arg_t* arguments) {
  static auto* const next = Next<decltype(dnnl_primitive_execute)>("dnnl_primitive_execute");
  ++in_primitive;
  const dnnl_status_t status = next(primitive, stream, count, arguments);
  --in_primitive;
  return status;
}
}  // extern "C"

namespace attend {
namespace {

// Expects that `run`, once warm, allocates no memory and creates no primitive.
template <typename Run>
void ExpectNothingIsMade(const std::string& what, const Run& run) {
  for (int i = 0; i < 3; ++i) run();
  const int64_t allocated = allocations, created = primitives;
  run();
  const int64_t now = allocations, created_now = primitives;
  EXPECT_EQ(now - allocated, 0) << "allocations in " << what;
  EXPECT_EQ(created_now - created, 0) << "primitives in " << what;
}

// Workers take tasks in any order, so which of them are warm is not fixed: sooner or later all
// are, and no later run makes anything.
template <typename Run>
void ExpectNothingIsMadeInTheEnd(const std::string& what, const Run& run) {
  constexpr int kRuns = 2000, kQuiet = 6;
  int quiet = 0;
  for (int i = 0; i < kRuns && quiet < kQuiet; ++i) {
    const int64_t before = allocations + primitives;
    run();
    quiet = allocations + primitives == before ? quiet + 1 : 0;
  }
  EXPECT_EQ(quiet, kQuiet) << what << " keeps allocating";
}

TEST(TheCounter, SeesWhatIsAllocated) {
  const int64_t before = allocations;
  std::vector<float> vector(100);
  AlignedBuffer buffer(100);
  EXPECT_GE(allocations - before, 2) << vector.size() << buffer.size();
}

TEST(TheCounter, SeesPrimitives) {
  const int64_t before = primitives;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const auto description = [](dnnl::memory::format_tag tag) {
    return dnnl::memory::desc({8, 8}, dnnl::memory::data_type::f32, tag);
  };
  dnnl::memory from(description(dnnl::memory::format_tag::ab), engine);
  dnnl::memory to(description(dnnl::memory::format_tag::ba), engine);
  const dnnl::reorder reorder(from, to);
  EXPECT_EQ(primitives - before, 1);
}

struct Shape {
  const char* name;
  std::vector<std::pair<int64_t, int64_t>> lengths;
};
const std::vector<Shape>& Shapes() {
  static const auto* const shapes = new std::vector<Shape>{{"prefill", {{130, 130}, {70, 70}}},
                                                           {"decode", {{1, 700}, {4, 333}}},
                                                           {"both", {{65, 65}, {1, 90}}}};
  return *shapes;
}

TEST(WarmOperator, AllocatesNothing) {
  ExecutionContext one(1), two(2);
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16, DataType::kFloat16}) {
    for (const Shape& shape : Shapes()) {
      for (const bool options : {false, true}) {
        RandomProblem random({.num_heads = 6,
                              .num_kv_heads = 2,
                              .head_dim = 64,
                              .value_head_dim = 64,
                              .lengths = shape.lengths,
                              .type = type,
                              .output_type = type},
                             5);
        random.params.causal = true;
        for (size_t i = 0; i < 2; ++i) {
          SequenceProblem& s = random.sequences[i];
          s.query_offset = s.key_length - s.query_length;
          if (!options) continue;
          random.AddMask(i, true, true, true, 0.9);
          random.AddBias(i, type, true, true, true, 0.1);
          random.AddBias(i, DataType::kFloat32, false, false, true, 0.0);
          random.AddAlibi(i);
        }
        if (options) {
          random.params.window_left = 200;
          random.params.softcap = 20.0f;
          random.AddSinks();
          random.AskForLogSumExp(true);
          random.AskForWeights(WeightsOutput::kPerHead);
        }
        const std::string what = std::string(shape.name) + " of " + std::string(Name(type)) +
                                 (options ? ", options" : "");
        const AttentionProblem* problems[] = {&random.problem, &random.problem};
        ExpectNothingIsMade(what, [&] { ComputeAttention(problems, one); });
        ExpectNothingIsMadeInTheEnd(what, [&] { ComputeAttention(problems, two); });
      }
    }
  }
}

// A tile and its working memory, 6 states in the tree of a task and 32 that wait for their merge
// (core/attention/attention.h): nothing else grows with keys.
TEST(WarmOperator, HoldsABoundedAmountForAnyNumberOfKeys) {
  constexpr size_t kTile = 425 << 10, kState = 64 * (128 * 4 + 12) + 64;
  for (const DataType type : {DataType::kFloat32, DataType::kBFloat16, DataType::kFloat16}) {
    for (const int64_t queries : {1, 8, 100}) {
      for (const int64_t keys : {2048, 20000}) {
        const RandomProblem random({.num_heads = 8,
                                    .num_kv_heads = 2,
                                    .head_dim = 128,
                                    .value_head_dim = 128,
                                    .lengths = {{queries, keys}},
                                    .type = type,
                                    .output_type = type},
                                   6);
        ExecutionContext one(1);
        const AttentionProblem* problems[] = {&random.problem};
        ComputeAttention(problems, one);
        EXPECT_LE(one.arena(0).held_bytes(), kTile + 38 * kState)
            << Name(type) << ", " << queries << " rows, " << keys << " keys";
      }
    }
  }
}

std::vector<float> Random(int64_t count, float scale) {
  static std::mt19937 random(3);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

std::unique_ptr<const Layer> MakeLayer(ComputeType compute, bool positions) {
  LayerConfig c;
  c.embed_dim = c.key_dim = c.value_dim = 96;
  c.num_heads = 6;
  c.num_kv_heads = 2;
  c.head_dim = c.value_head_dim = 32;
  c.scale = 0.2f;
  c.compute = compute;
  LayerWeights w;
  w.query_weight = Random(6 * 32 * 96, 0.1f);
  w.key_weight = Random(2 * 32 * 96, 0.1f);
  w.value_weight = Random(2 * 32 * 96, 0.1f);
  w.output_weight = Random(96 * 6 * 32, 0.1f);
  w.output_bias = Random(96, 0.1f);
  if (positions) {
    c.query_key_norm = true;
    c.rotary.emplace().width = 32;
    c.relative_bias = RelativeBiasConfig{8, 20, true};
    w.query_norm = w.key_norm = Random(32, 1.0f);
    w.relative_bias = Random(8 * 6, 1.0f);
  }
  auto layer = Layer::Create(WithMatmulFromEnvironment(c), w);
  EXPECT_TRUE(layer.ok()) << layer.status();
  return *std::move(layer);
}

// Rows of an item; its inputs and outputs of one length share memory.
class Item {
 public:
  Item(const Shape& shape, DataType type, bool options) {
    item.type = type;
    item.params = &params;
    params.scale = 0.2f;
    params.causal = true;
    if (options) {
      params.sinks.assign(6, 0.5f);
      params.head_gates.assign(6, 2.0f);
      params.window_left = 100;
    }
    for (const auto& [rows, keys] : shape.lengths) {
      LayerSequence sequence;
      sequence.query_length = rows;
      sequence.key_length = keys;
      sequence.query_offset = keys - rows;
      sequence.query = Rows(rows, type);
      if (rows != keys) {
        sequence.key_source = KeySource::kOwnRows;
        sequence.key = sequence.value = Rows(keys, type);
      }
      sequence.output = Rows(rows, type);
      if (options) {
        sequence.bias = {Store(Random(keys, 1.0f), DataType::kFloat32), DataType::kFloat32, 0, 0,
                         1};
        sequence.mask = {Mask(keys), DataType::kBool, 0, 0, 1};
      }
      item.sequences.push_back(sequence);
    }
  }
  Item(const Item&) = delete;

  AttentionParams params;
  LayerItem item;

 private:
  std::byte* Rows(int64_t count, DataType type) { return Store(Random(count * 96, 1.0f), type); }
  std::byte* Store(const std::vector<float>& values, DataType type) {
    auto& bytes = memory_.emplace_back(values.size() * ElementSize(type));
    ConvertFromFloat(values.data(), type, bytes.data(), static_cast<int64_t>(values.size()));
    return bytes.data();
  }
  std::byte* Mask(int64_t keys) {
    auto& bytes = memory_.emplace_back(static_cast<size_t>(keys), std::byte{1});
    bytes[static_cast<size_t>(keys / 2)] = std::byte{0};
    return bytes.data();
  }

  std::deque<std::vector<std::byte>> memory_;
};

TEST(WarmLayer, AllocatesNothing) {
  ExecutionContext one(1), two(2);
  for (const ComputeType compute : {ComputeType::kFloat32, ComputeType::kBFloat16}) {
    if (compute == ComputeType::kBFloat16 && !GetCpuFeatures().avx512) continue;
    for (const bool positions : {false, true}) {
      const auto layer = MakeLayer(compute, positions);
      for (const Shape& shape : Shapes()) {
        for (const bool options : {false, true}) {
          const DataType type = options ? DataType::kBFloat16 : DataType::kFloat32;
          Item first(shape, type, options), second(shape, DataType::kFloat32, false);
          const LayerItem* items[] = {&first.item, &second.item};
          const std::string what =
              std::string(shape.name) +
              (compute == ComputeType::kFloat32 ? " in float32" : " in bfloat16") +
              (options ? ", options" : "") + (positions ? ", positions" : "");
          ExpectNothingIsMade(what, [&] { LayerBatch(*layer, items, one).Run(); });
          ExpectNothingIsMadeInTheEnd(what, [&] { LayerBatch(*layer, items, two).Run(); });
        }
      }
    }
  }
}

}  // namespace
}  // namespace attend
