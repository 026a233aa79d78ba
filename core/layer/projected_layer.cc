#include "core/layer/projected_layer.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/attention/attention.h"
#include "core/attention/cost.h"
#include "core/base/scratch.h"
#include "core/layer/packing.h"
#include "core/layer/staging.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

// Kept by an executor's thread between batches: what a batch of 4,096 tokens of
// width 768 in float32 needs, about.
constexpr size_t kKeptBytes = size_t{96} << 20;

size_t Bytes(DataType type, int64_t rows, int64_t width) {
  return static_cast<size_t>(rows * width) * ElementSize(type);
}

// The matrices of a batch, rows contiguous, in the layer's compute type except
// for the output. Keys and values of cross-attention have their own.
struct Matrices {
  std::byte *query_input, *key_input, *value_input;  // as given, converted
  std::byte *query, *key, *value;                    // projected
  std::byte *cross_key, *cross_value;
  std::byte* context;  // what attention gives
  std::byte* output;   // float32
  float* bias;         // relative, of all sequences

  // With nullptr: only adds up. Returns the bytes used.
  size_t Carve(std::byte* data, const LayerConfig& c, DataType type, int64_t self_rows,
               int64_t query_rows, int64_t cross_rows, int64_t biases) {
    Carver carver(data);
    const int64_t keys = c.num_kv_heads * c.head_dim, values = c.num_kv_heads * c.value_head_dim;
    const int64_t heads = c.num_heads;
    query_input = carver.Take<std::byte>(Bytes(type, query_rows, c.embed_dim));
    key_input = carver.Take<std::byte>(Bytes(type, cross_rows, c.key_dim));
    value_input = carver.Take<std::byte>(Bytes(type, cross_rows, c.value_dim));
    query = carver.Take<std::byte>(Bytes(type, query_rows, heads * c.head_dim));
    key = carver.Take<std::byte>(Bytes(type, self_rows, keys));
    value = carver.Take<std::byte>(Bytes(type, self_rows, values));
    cross_key = carver.Take<std::byte>(Bytes(type, cross_rows, keys));
    cross_value = carver.Take<std::byte>(Bytes(type, cross_rows, values));
    context = carver.Take<std::byte>(Bytes(type, query_rows, heads * c.value_head_dim));
    output = carver.Take<std::byte>(Bytes(DataType::kFloat32, query_rows, c.embed_dim));
    bias = carver.Take<float>(static_cast<size_t>(biases));
    return carver.used();
  }
};

// One projection of a batch.
struct Projection {
  const Linear* linear;
  LinearBatch batch;
};

void Run(absl::Span<const Projection> projections, ExecutionContext& context) {
  int64_t tasks = 0;
  for (const Projection& p : projections) tasks += p.linear->NumTasks(p.batch.rows);
  context.pool().ParallelFor(tasks, [&](int64_t task, int worker) {
    for (const Projection& p : projections) {
      const int64_t here = p.linear->NumTasks(p.batch.rows);
      if (task < here) return p.linear->Run(task, p.batch, context.arena(worker));
      task -= here;
    }
  });
}

// Addresses of the rows of a packed matrix.
template <typename Byte>
void SetRows(std::byte* matrix, int64_t count, int64_t width, DataType type,
             std::vector<Byte*>& rows) {
  const int64_t row_bytes = width * static_cast<int64_t>(ElementSize(type));
  rows.resize(static_cast<size_t>(count));
  for (int64_t r = 0; r < count; ++r) rows[static_cast<size_t>(r)] = matrix + r * row_bytes;
}

// What a thread that calls Run keeps between calls.
struct Workspace {
  Scratch memory{kKeptBytes};
  Packing packing;
  Staging<const std::byte> query_input, key_input, value_input;
  Staging<std::byte> output;
  std::vector<std::byte*> query, key, value, cross_key, cross_value;  // rows of Matrices
  std::vector<const std::byte*> context;                              // likewise
  std::vector<Copy> copies;
  std::vector<HeadPass::Rows> head_rows;
  std::vector<float*> bias_data;  // of packing.sequences, with a relative bias only
  std::vector<ScoreTerm> biases;
  std::vector<AttentionProblem> problems;
  std::vector<SequenceProblem> problem_sequences;
  std::vector<const AttentionProblem*> problem_pointers;
};

void StageInputs(const LayerConfig& c, DataType type, const Matrices& m, Workspace& work) {
  work.copies.clear();
  work.query_input.Start(m.query_input, type, c.embed_dim);
  work.key_input.Start(m.key_input, type, c.key_dim);
  work.value_input.Start(m.value_input, type, c.value_dim);
  for (const PackedSequence& packed : work.packing.sequences) {
    const LayerSequence& s = *packed.sequence;
    const DataType from = packed.item->type;
    work.query_input.Add(from, s.query, s.query_length, work.copies);
    if (packed.self) continue;
    work.key_input.Add(from, s.key, s.key_length, work.copies);
    work.value_input.Add(from, s.value, s.key_length, work.copies);
  }
}

// The output projection writes the type of all items where it can, so that nothing is left
// to convert. The bits are those of float32, converted.
DataType OutputType(absl::Span<const LayerItem* const> items) {
  const auto is_bfloat16 = [](const LayerItem* item) { return item->type == DataType::kBFloat16; };
  return std::all_of(items.begin(), items.end(), is_bfloat16) ? DataType::kBFloat16
                                                              : DataType::kFloat32;
}

void StageOutputs(const LayerConfig& c, DataType type, const Matrices& m, Workspace& work) {
  work.copies.clear();
  work.output.Start(m.output, type, c.embed_dim);
  for (const PackedSequence& packed : work.packing.sequences) {
    work.output.Add(packed.item->type, packed.sequence->output, packed.sequence->query_length,
                    work.copies);
  }
}

void SetMatrixRows(const LayerConfig& c, DataType type, const Matrices& m, Workspace& work) {
  const Packing& packing = work.packing;
  const int64_t keys = c.num_kv_heads * c.head_dim, values = c.num_kv_heads * c.value_head_dim;
  SetRows(m.query, packing.query_rows, c.num_heads * c.head_dim, type, work.query);
  SetRows(m.key, packing.self_rows, keys, type, work.key);
  SetRows(m.value, packing.self_rows, values, type, work.value);
  SetRows(m.cross_key, packing.cross_rows, keys, type, work.cross_key);
  SetRows(m.cross_value, packing.cross_rows, values, type, work.cross_value);
  SetRows(m.context, packing.query_rows, c.num_heads * c.value_head_dim, type, work.context);
}

// Norm and rotary embedding of the rows that were projected.
void RunHeadPass(const HeadPass& pass, const LayerConfig& c, DataType type, const Matrices& m,
                 Workspace& work, ExecutionContext& context) {
  const int64_t element = static_cast<int64_t>(ElementSize(type));
  const int64_t query_bytes = c.num_heads * c.head_dim * element;
  const int64_t key_bytes = c.num_kv_heads * c.head_dim * element;
  work.head_rows.clear();
  for (const PackedSequence& packed : work.packing.sequences) {
    const LayerSequence& s = *packed.sequence;
    pass.AddTasks(
        {m.query + packed.query_begin * query_bytes, s.query_length, s.query_offset, true},
        work.head_rows);
    std::byte* const key = packed.self ? m.key : m.cross_key;
    pass.AddTasks({key + packed.key_begin * key_bytes, s.key_length, 0, false}, work.head_rows);
  }
  pass.Run(work.head_rows, context);
}

int64_t BiasElements(const std::optional<const RelativeBias>& relative, const Packing& packing) {
  int64_t elements = 0;
  if (!relative.has_value()) return elements;
  for (const PackedSequence& packed : packing.sequences) {
    elements += relative->Elements(*packed.sequence);
  }
  return elements;
}

// The layer's own bias of each sequence.
void FillBiases(const RelativeBias& relative, float* data, Workspace& work,
                ExecutionContext& context) {
  for (const PackedSequence& packed : work.packing.sequences) {
    work.bias_data.push_back(data);
    work.biases.push_back(relative.Term(*packed.sequence, data));
    data += relative.Elements(*packed.sequence);
  }
  const int64_t heads = relative.num_heads();
  context.pool().ParallelFor(static_cast<int64_t>(work.biases.size()) * heads, [&](int64_t i, int) {
    const LayerSequence& sequence = *work.packing.sequences[i / heads].sequence;
    relative.Fill(sequence, i % heads, work.bias_data[i / heads]);
  });
}

// The operator's view of each item that has sequences in the packing: items
// differ in options, so each is a problem of its own.
void PlanAttention(const LayerConfig& c, DataType type, const Matrices& m, Workspace& work) {
  work.problems.clear();
  work.problem_sequences.clear();
  work.problem_sequences.reserve(work.packing.sequences.size());  // spans stay valid
  const HeadShape heads = c.heads();
  const int64_t element = static_cast<int64_t>(ElementSize(type));
  const int64_t query_stride = c.num_heads * c.head_dim;
  const int64_t key_stride = c.num_kv_heads * c.head_dim;
  const int64_t value_stride = c.num_kv_heads * c.value_head_dim;
  const int64_t context_stride = c.num_heads * c.value_head_dim;
  const LayerItem* current = nullptr;
  for (const PackedSequence& packed : work.packing.sequences) {
    SequenceProblem& sequence = work.problem_sequences.emplace_back(*packed.sequence);
    const std::byte* key = packed.self ? m.key : m.cross_key;
    const std::byte* value = packed.self ? m.value : m.cross_value;
    sequence.query = {m.query + packed.query_begin * query_stride * element, query_stride,
                      c.head_dim};
    sequence.key = {key + packed.key_begin * key_stride * element, key_stride, c.head_dim};
    sequence.value = {value + packed.key_begin * value_stride * element, value_stride,
                      c.value_head_dim};
    sequence.output = {m.context + packed.query_begin * context_stride * element, context_stride,
                       c.value_head_dim};
    if (!work.biases.empty()) {
      sequence.relative_bias = work.biases[&packed - work.packing.sequences.data()];
    }
    if (packed.item == current) {
      absl::Span<const SequenceProblem>& all = work.problems.back().sequences;
      all = {all.data(), all.size() + 1};
      continue;
    }
    current = packed.item;
    work.problems.push_back(
        AttentionProblem{heads, type, type, current->params, absl::MakeConstSpan(&sequence, 1)});
  }
  work.problem_pointers.clear();
  for (const AttentionProblem& problem : work.problems) work.problem_pointers.push_back(&problem);
}

}  // namespace

ProjectedLayer::ProjectedLayer(LayerConfig config, Projections projections,
                               const LayerWeights& weights)
    : config_(std::move(config)),
      projections_(std::move(projections)),
      head_pass_(config_, weights) {
  if (!config_.relative_bias.has_value()) return;
  relative_bias_.emplace(*config_.relative_bias, config_.num_heads, weights.relative_bias);
}

void ProjectedLayer::Run(absl::Span<const LayerItem* const> items,
                         ExecutionContext& context) const {
  thread_local Workspace work;
  const LayerConfig& c = config_;
  const DataType type = projections_.query->config().input_type;
  Packing& packing = work.packing;
  packing.Plan(items);

  Matrices m;
  const int64_t biases = BiasElements(relative_bias_, packing);
  const size_t bytes =
      m.Carve(nullptr, c, type, packing.self_rows, packing.query_rows, packing.cross_rows, biases);
  m.Carve(work.memory.Reserve(bytes), c, type, packing.self_rows, packing.query_rows,
          packing.cross_rows, biases);

  StageInputs(c, type, m, work);
  RunCopies(work.copies, context);
  SetMatrixRows(c, type, m, work);

  const Linear &query = *projections_.query, &key = *projections_.key;
  const Linear& value = *projections_.value;
  const std::byte* const* const rows = work.query_input.rows();
  internal::Run(
      {{&query, {packing.query_rows, rows, work.query.data(), type}},
       {&key, {packing.self_rows, rows, work.key.data(), type}},
       {&value, {packing.self_rows, rows, work.value.data(), type}},
       {&key, {packing.cross_rows, work.key_input.rows(), work.cross_key.data(), type}},
       {&value, {packing.cross_rows, work.value_input.rows(), work.cross_value.data(), type}}},
      context);
  if (!head_pass_.empty()) RunHeadPass(head_pass_, c, type, m, work, context);
  work.bias_data.clear();
  work.biases.clear();
  if (relative_bias_.has_value()) FillBiases(*relative_bias_, m.bias, work, context);

  PlanAttention(c, type, m, work);
  ComputeAttention(work.problem_pointers, context);

  const DataType output_type = OutputType(items);
  StageOutputs(c, output_type, m, work);
  internal::Run({{projections_.output.get(),
                  {packing.query_rows, work.context.data(), work.output.rows(), output_type}}},
                context);
  RunCopies(work.copies, context);
}

double ProjectedLayer::Flops(const LayerItem& item) const {
  double query_rows = 0.0, key_rows = 0.0, attention = 0.0;
  for (const LayerSequence& sequence : item.sequences) {
    query_rows += static_cast<double>(sequence.query_length);
    key_rows += static_cast<double>(sequence.key_length);
    attention += AttentionFlops(config_.heads(), *item.params, sequence);
  }
  const auto projection = [](const Linear& linear, double rows) {
    return 2.0 * rows * static_cast<double>(linear.config().inputs) *
           static_cast<double>(linear.config().outputs);
  };
  return attention + projection(*projections_.query, query_rows) +
         projection(*projections_.key, key_rows) + projection(*projections_.value, key_rows) +
         projection(*projections_.output, query_rows);
}

int64_t ProjectedLayer::WorkingBytes(const LayerItem& item) const {
  Packing packing;
  const LayerItem* items[] = {&item};
  packing.Plan(items);
  const DataType type = projections_.query->config().input_type;
  const auto carve = [&](int64_t times) {
    return static_cast<int64_t>(Matrices().Carve(
        nullptr, config_, type, times * packing.self_rows, times * packing.query_rows,
        times * packing.cross_rows, times * BiasElements(relative_bias_, packing)));
  };
  // Taken from many copies, so that the rounding of each matrix to cache lines hardly counts.
  constexpr int64_t kCopies = 64;
  return (carve(1 + kCopies) - carve(1)) / kCopies;
}

}  // namespace attend::internal
