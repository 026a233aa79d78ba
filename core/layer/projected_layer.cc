#include "core/layer/projected_layer.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/attention/attention.h"
#include "core/base/scratch.h"
#include "core/layer/packing.h"
#include "core/layer/problem_list.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

// Kept by an executor's thread between batches: what a batch of 4,096 tokens of
// width 768 in float32 needs, about.
constexpr size_t kKeptBytes = size_t{96} << 20;

// Rows of input or output that one task converts.
constexpr int64_t kCopyRows = 64;

// The largest block of rows that a projection may run past its last row with.
constexpr int64_t kSlackRows = 64;

size_t Bytes(DataType type, int64_t rows, int64_t width) {
  return static_cast<size_t>((rows == 0 ? 0 : rows + kSlackRows) * width) * ElementSize(type);
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

// A copy of some rows between an item and a packed matrix.
struct Copy {
  DataType from, to;
  const std::byte* source;
  std::byte* destination;
  int64_t elements;
};

void Run(const std::vector<Copy>& copies, WorkerPool& pool) {
  pool.ParallelFor(static_cast<int64_t>(copies.size()), [&](int64_t i, int) {
    const Copy& copy = copies[i];
    ConvertFloats(copy.from, copy.source, copy.to, copy.destination, copy.elements);
  });
}

void AddCopies(DataType from, const std::byte* source, DataType to, std::byte* destination,
               int64_t rows, int64_t width, std::vector<Copy>& copies) {
  const int64_t from_bytes = width * static_cast<int64_t>(ElementSize(from));
  const int64_t to_bytes = width * static_cast<int64_t>(ElementSize(to));
  for (int64_t row = 0; row < rows; row += kCopyRows) {
    const int64_t count = std::min(kCopyRows, rows - row);
    copies.push_back(
        {from, to, source + row * from_bytes, destination + row * to_bytes, count * width});
  }
}

// One projection of a batch: y[rows] = linear(x[rows]).
struct Projection {
  const Linear* linear;
  int64_t rows;
  std::byte* x;
  std::byte* y;
};

// Projections may read past the last row, up to the end of their last block:
// any defined numbers do, since each row's result depends on that row alone.
void ClearSlack(std::byte* matrix, DataType type, int64_t rows, int64_t padded_rows,
                int64_t width) {
  const size_t row_bytes = static_cast<size_t>(width) * ElementSize(type);
  if (padded_rows <= rows) return;
  std::memset(matrix + static_cast<size_t>(rows) * row_bytes, 0,
              static_cast<size_t>(padded_rows - rows) * row_bytes);
}

void Run(absl::Span<const Projection> projections, WorkerPool& pool) {
  int64_t tasks = 0;
  for (const Projection& p : projections) tasks += p.linear->NumTasks(p.rows);
  pool.ParallelFor(tasks, [&](int64_t task, int) {
    for (const Projection& p : projections) {
      const int64_t here = p.linear->NumTasks(p.rows);
      if (task < here) return p.linear->RunTask(task, p.rows, p.x, p.y);
      task -= here;
    }
  });
}

// What a thread that calls Run keeps between calls.
struct Workspace {
  Scratch memory{kKeptBytes};
  Packing packing;
  std::vector<Copy> copies;
  std::vector<HeadPass::Rows> head_rows;
  std::vector<float*> bias_data;  // of packing.sequences, with a relative bias only
  std::vector<ScoreTerm> biases;
  ProblemList problems;
};

// Norm and rotary embedding of the rows that were projected.
void RunHeadPass(const HeadPass& pass, const LayerConfig& c, DataType type, const Matrices& m,
                 Workspace& work, WorkerPool& pool) {
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
  pass.Run(work.head_rows, pool);
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
void FillBiases(const RelativeBias& relative, float* data, Workspace& work, WorkerPool& pool) {
  for (const PackedSequence& packed : work.packing.sequences) {
    work.bias_data.push_back(data);
    work.biases.push_back(relative.Term(*packed.sequence, data));
    data += relative.Elements(*packed.sequence);
  }
  const int64_t heads = relative.num_heads();
  pool.ParallelFor(static_cast<int64_t>(work.biases.size()) * heads, [&](int64_t i, int) {
    const LayerSequence& sequence = *work.packing.sequences[i / heads].sequence;
    relative.Fill(sequence, i % heads, work.bias_data[i / heads]);
  });
}

// The operator's view of each item that has sequences in the packing: items
// differ in options, so each is a problem of its own.
void PlanAttention(const LayerConfig& c, DataType type, const Matrices& m, Workspace& work) {
  work.problems.Clear();
  const int64_t element = static_cast<int64_t>(ElementSize(type));
  const int64_t query_stride = c.num_heads * c.head_dim;
  const int64_t key_stride = c.num_kv_heads * c.head_dim;
  const int64_t value_stride = c.num_kv_heads * c.value_head_dim;
  const int64_t context_stride = c.num_heads * c.value_head_dim;
  const LayerItem* current = nullptr;
  AttentionProblem* current_problem = nullptr;
  for (const PackedSequence& packed : work.packing.sequences) {
    if (packed.item != current) {
      current = packed.item;
      current_problem = &work.problems.Add();
      AttentionProblem& problem = *current_problem;
      problem.num_heads = c.num_heads;
      problem.num_kv_heads = c.num_kv_heads;
      problem.head_dim = c.head_dim;
      problem.value_head_dim = c.value_head_dim;
      problem.scale = current->scale;
      problem.causal = current->causal;
      problem.window_left = current->window_left;
      problem.window_right = current->window_right;
      problem.softcap = current->softcap;
      problem.sinks = current->sinks;
      problem.input_type = problem.output_type = type;
      problem.head_gates = current->head_gates;
      problem.weights = current->weights;
      problem.weights_head_stride = current->weights_head_stride;
      problem.weights_row_stride = current->weights_row_stride;
      problem.weights_stage = current->weights_stage;
      problem.log_sum_exp_head_stride = current->log_sum_exp_head_stride;
      problem.log_sum_exp_row_stride = current->log_sum_exp_row_stride;
    }
    const LayerSequence& from = *packed.sequence;
    SequenceProblem& sequence = current_problem->sequences.emplace_back();
    sequence.query_length = from.query_length;
    sequence.key_length = from.key_length;
    sequence.query_offset = from.query_offset;
    const std::byte* key = packed.self ? m.key : m.cross_key;
    const std::byte* value = packed.self ? m.value : m.cross_value;
    sequence.query = {m.query + packed.query_begin * query_stride * element, query_stride,
                      c.head_dim};
    sequence.key = {key + packed.key_begin * key_stride * element, key_stride, c.head_dim};
    sequence.value = {value + packed.key_begin * value_stride * element, value_stride,
                      c.value_head_dim};
    sequence.output = {m.context + packed.query_begin * context_stride * element, context_stride,
                       c.value_head_dim};
    sequence.bias = from.bias;
    if (!work.biases.empty()) {
      sequence.bias = work.biases[&packed - work.packing.sequences.data()];
      sequence.more_bias = from.bias;
    }
    sequence.mask = from.mask;
    sequence.alibi_slopes = from.alibi_slopes;
    sequence.weights = from.weights;
    sequence.log_sum_exp = from.log_sum_exp;
  }
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

void ProjectedLayer::Run(absl::Span<const LayerItem* const> items, WorkerPool& pool) const {
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

  const auto row = [](std::byte* matrix, DataType element, int64_t index, int64_t width) {
    return matrix + index * width * static_cast<int64_t>(ElementSize(element));
  };
  work.copies.clear();
  for (const PackedSequence& packed : packing.sequences) {
    const LayerSequence& s = *packed.sequence;
    const DataType from = packed.item->type;
    AddCopies(from, s.query, type, row(m.query_input, type, packed.query_begin, c.embed_dim),
              s.query_length, c.embed_dim, work.copies);
    if (packed.self) continue;
    AddCopies(from, s.key, type, row(m.key_input, type, packed.key_begin, c.key_dim), s.key_length,
              c.key_dim, work.copies);
    AddCopies(from, s.value, type, row(m.value_input, type, packed.key_begin, c.value_dim),
              s.key_length, c.value_dim, work.copies);
  }
  internal::Run(work.copies, pool);

  const Linear &query = *projections_.query, &key = *projections_.key;
  const Linear &value = *projections_.value, &out = *projections_.output;
  ClearSlack(m.query_input, type, packing.query_rows,
             std::max({query.PaddedRows(packing.query_rows), key.PaddedRows(packing.self_rows),
                       value.PaddedRows(packing.self_rows)}),
             c.embed_dim);
  ClearSlack(m.key_input, type, packing.cross_rows, key.PaddedRows(packing.cross_rows), c.key_dim);
  ClearSlack(m.value_input, type, packing.cross_rows, value.PaddedRows(packing.cross_rows),
             c.value_dim);
  internal::Run({{&query, packing.query_rows, m.query_input, m.query},
                 {&key, packing.self_rows, m.query_input, m.key},
                 {&value, packing.self_rows, m.query_input, m.value},
                 {&key, packing.cross_rows, m.key_input, m.cross_key},
                 {&value, packing.cross_rows, m.value_input, m.cross_value}},
                pool);
  if (!head_pass_.empty()) RunHeadPass(head_pass_, c, type, m, work, pool);
  work.bias_data.clear();
  work.biases.clear();
  if (relative_bias_.has_value()) FillBiases(*relative_bias_, m.bias, work, pool);

  PlanAttention(c, type, m, work);
  ComputeAttention(work.problems.pointers(), pool);

  ClearSlack(m.context, type, packing.query_rows, out.PaddedRows(packing.query_rows),
             out.config().inputs);
  internal::Run({{&out, packing.query_rows, m.context, m.output}}, pool);

  work.copies.clear();
  for (const PackedSequence& packed : packing.sequences) {
    AddCopies(DataType::kFloat32,
              row(m.output, DataType::kFloat32, packed.query_begin, c.embed_dim), packed.item->type,
              packed.sequence->output, packed.sequence->query_length, c.embed_dim, work.copies);
  }
  internal::Run(work.copies, pool);
}

double ProjectedLayer::Flops(const LayerItem& item) const {
  const LayerConfig& c = config_;
  AttentionProblem problem;
  problem.num_heads = c.num_heads;
  problem.num_kv_heads = c.num_kv_heads;
  problem.head_dim = c.head_dim;
  problem.value_head_dim = c.value_head_dim;
  problem.causal = item.causal;
  problem.window_left = item.window_left;
  problem.window_right = item.window_right;
  problem.head_gates = item.head_gates;
  double query_rows = 0, key_rows = 0;
  for (const LayerSequence& from : item.sequences) {
    SequenceProblem& sequence = problem.sequences.emplace_back();
    sequence.query_length = from.query_length;
    sequence.key_length = from.key_length;
    sequence.query_offset = from.query_offset;
    query_rows += static_cast<double>(from.query_length);
    key_rows += static_cast<double>(from.key_length);
  }
  const auto projection = [](const Linear& linear, double rows) {
    return 2.0 * rows * static_cast<double>(linear.config().inputs) *
           static_cast<double>(linear.config().outputs);
  };
  return AttentionFlops(problem) + projection(*projections_.query, query_rows) +
         projection(*projections_.key, key_rows) + projection(*projections_.value, key_rows) +
         projection(*projections_.output, query_rows);
}

int64_t ProjectedLayer::WorkingBytes(const LayerItem& item) const {
  Packing packing;
  const LayerItem* items[] = {&item};
  packing.Plan(items);
  const auto carve = [&](int64_t times) {
    return static_cast<int64_t>(Matrices().Carve(
        nullptr, config_, projections_.query->config().input_type, times * packing.self_rows,
        times * packing.query_rows, times * packing.cross_rows,
        times * BiasElements(relative_bias_, packing)));
  };
  // What its rows add to a batch: slack is there once, however many items. Of many copies,
  // so that the rounding of each matrix to cache lines hardly counts.
  constexpr int64_t kCopies = 64;
  return (carve(1 + kCopies) - carve(1)) / kCopies;
}

}  // namespace attend::internal
