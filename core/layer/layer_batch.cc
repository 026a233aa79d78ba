// SPDX-License-Identifier: Apache-2.0
#include "core/layer/layer_batch.h"

#include <algorithm>

#include "core/attention/attention.h"
#include "core/linalg/linear.h"

namespace attend {

using internal::BatchRows;
using internal::Conversion;
using internal::NormRotary;

namespace {

size_t CountSequences(absl::Span<const LayerItem* const> items) {
  size_t count = 0;
  for (const LayerItem* item : items) count += item->sequences.size();
  return count;
}

// One projection of a batch.
struct Projection {
  const Linear* linear;
  LinearBatch rows;
};

// Runs projections side by side. Blocks until all are done.
void Project(absl::Span<const Projection> projections, ExecutionContext& context) {
  int64_t tasks = 0;
  for (const Projection& p : projections) tasks += p.linear->NumTasks(p.rows.rows);
  context.pool().ParallelFor(tasks, [&](int64_t task, int worker) {
    for (const Projection& p : projections) {
      const int64_t count = p.linear->NumTasks(p.rows.rows);
      if (task < count) return p.linear->Run(task, p.rows, context.arena(worker));
      task -= count;
    }
  });
}

}  // namespace

LayerBatch::LayerBatch(const Layer& layer, absl::Span<const LayerItem* const> items,
                       ExecutionContext& context)
    : layer_(layer),
      config_(layer.config()),
      type_(config_.compute_type()),
      items_(items),
      context_(context),
      frame_(context.arena(0)),
      sequences_(frame_, CountSequences(items)) {}

void LayerBatch::Run() {
  Place();
  ProjectInputs();
  if (!layer_.norm_rotary().empty()) NormAndRotate();
  Attend();
  ProjectOutputs();
}

// Assigns each sequence its rows in the matrices of the batch.
void LayerBatch::Place() {
  PlaceSequences(KeySource::kQueryRows);
  PlaceSequences(KeySource::kOwnRows);
  const LayerConfig& c = config_;
  queries_ = TakeMatrix(queries_.rows, c.num_heads * c.head_dim);
  contexts_ = TakeMatrix(queries_.rows, c.num_heads * c.value_head_dim);
  for (KeyValues* side : {&self_, &cross_}) {
    side->keys = TakeMatrix(side->keys.rows, c.num_kv_heads * c.head_dim);
    side->values = TakeMatrix(side->keys.rows, c.num_kv_heads * c.value_head_dim);
  }
}

void LayerBatch::PlaceSequences(KeySource source) {
  for (const LayerItem* item : items_) {
    for (const LayerSequence& sequence : item->sequences) {
      if (sequence.key_source != source) continue;
      const PlacedSequence placed = {item, &sequence, queries_.rows, 0};
      KeyValues& side = FindKeyValues(placed);
      sequences_.Add(placed).key_begin = side.keys.rows;
      queries_.rows += sequence.query_length;
      side.keys.rows += sequence.key_length;
    }
  }
}

// Computes queries, keys and values of all rows, each projection in one matmul.
void LayerBatch::ProjectInputs() {
  const std::byte* const* const query_inputs = GatherInputs();
  self_.key_inputs = self_.value_inputs = query_inputs;
  const auto project = [&](const Linear& linear, const Matrix& to, const std::byte* const* inputs) {
    return Projection{&linear, {to.rows, inputs, AddressRows(to), type_}};
  };
  Project({project(layer_.query(), queries_, query_inputs),
           project(layer_.key(), self_.keys, self_.key_inputs),
           project(layer_.value(), self_.values, self_.value_inputs),
           project(layer_.key(), cross_.keys, cross_.key_inputs),
           project(layer_.value(), cross_.values, cross_.value_inputs)},
          context_);
}

// Converts inputs whose type differs from the layer's. Returns the rows of the queries' inputs
// and sets the input rows of keys and values in cross_.
const std::byte* const* LayerBatch::GatherInputs() {
  int64_t converted_queries = 0, converted_keys = 0;
  size_t conversions = 0;
  for (const PlacedSequence& placed : sequences_.items()) {
    if (placed.item->type == type_) continue;
    const LayerSequence& s = *placed.sequence;
    const int64_t keys = s.key_source == KeySource::kOwnRows ? s.key_length : 0;
    converted_queries += s.query_length;
    converted_keys += keys;
    conversions += internal::MaxConversions(s.query_length) + 2 * internal::MaxConversions(keys);
  }
  ArenaList<Conversion> list(frame_, conversions);
  using InputRows = BatchRows<const std::byte>;
  InputRows queries(frame_, queries_.rows, converted_queries, config_.embed_dim, type_);
  InputRows keys(frame_, cross_.keys.rows, converted_keys, config_.key_dim, type_);
  InputRows values(frame_, cross_.keys.rows, converted_keys, config_.value_dim, type_);
  for (const PlacedSequence& placed : sequences_.items()) {
    const LayerSequence& s = *placed.sequence;
    queries.Add(placed.item->type, s.query, s.query_length, list);
    if (s.key_source == KeySource::kQueryRows) continue;
    keys.Add(placed.item->type, s.key, s.key_length, list);
    values.Add(placed.item->type, s.value, s.key_length, list);
  }
  internal::Convert(list.items(), context_);
  cross_.key_inputs = keys.rows();
  cross_.value_inputs = values.rows();
  return queries.rows();
}

// Applies norm and rotary embedding to queries and keys.
void LayerBatch::NormAndRotate() {
  const NormRotary& norm_rotary = layer_.norm_rotary();
  size_t tasks = 0;
  for (const PlacedSequence& placed : sequences_.items()) {
    tasks += NormRotary::MaxTasks(placed.sequence->query_length) +
             NormRotary::MaxTasks(placed.sequence->key_length);
  }
  ArenaList<NormRotary::Rows> list(frame_, tasks);
  for (const PlacedSequence& placed : sequences_.items()) {
    const LayerSequence& s = *placed.sequence;
    const Matrix& keys = FindKeyValues(placed).keys;
    norm_rotary.AddTasks(
        {RowAt(queries_, placed.query_begin), s.query_length, s.query_offset, true}, list);
    norm_rotary.AddTasks({RowAt(keys, placed.key_begin), s.key_length, 0, false}, list);
  }
  norm_rotary.Run(list.items(), context_);
}

// Computes the contexts: the operator on each sequence. Items differ in options, so each is a
// separate problem.
void LayerBatch::Attend() {
  const ScoreTerm* const relative_biases = FillRelativeBias();
  ArenaList<SequenceProblem> all(frame_, sequences_.size());
  ArenaList<AttentionProblem> problems(frame_, sequences_.size());
  ArenaList<const AttentionProblem*> pointers(frame_, sequences_.size());
  const LayerItem* item = nullptr;
  for (const PlacedSequence& placed : sequences_.items()) {
    const KeyValues& side = FindKeyValues(placed);
    const int64_t head = config_.head_dim, value_head = config_.value_head_dim;
    SequenceProblem& sequence = all.Add(SequenceProblem(*placed.sequence));
    sequence.query = {RowAt(queries_, placed.query_begin), queries_.width, head};
    sequence.key = {RowAt(side.keys, placed.key_begin), side.keys.width, head};
    sequence.value = {RowAt(side.values, placed.key_begin), side.values.width, value_head};
    sequence.output = {RowAt(contexts_, placed.query_begin), contexts_.width, value_head};
    if (relative_biases != nullptr) sequence.relative_bias = relative_biases[all.size() - 1];
    if (placed.item != item) {
      item = placed.item;
      pointers.Add(&problems.Add({config_.heads(), type_, type_, item->params, {&sequence, 0}}));
    }
    absl::Span<const SequenceProblem>& sequences = problems.back().sequences;
    sequences = {sequences.data(), sequences.size() + 1};
  }
  ComputeAttention(pointers.items(), context_);
}

// The layer's own bias of each sequence; nullptr if it has none.
const ScoreTerm* LayerBatch::FillRelativeBias() {
  if (!layer_.relative_bias().has_value()) return nullptr;
  const internal::RelativeBias& bias = *layer_.relative_bias();
  ArenaList<ScoreTerm> terms(frame_, sequences_.size());
  ArenaList<float*> data(frame_, sequences_.size());
  for (const PlacedSequence& placed : sequences_.items()) {
    const auto elements = static_cast<size_t>(bias.CountElements(*placed.sequence));
    data.Add(frame_.Take<float>(elements));
    terms.Add(bias.Term(*placed.sequence, data.back()));
  }
  const int64_t heads = config_.num_heads;
  context_.pool().ParallelFor(
      static_cast<int64_t>(sequences_.size()) * heads, [&](int64_t i, int /*worker*/) {
        const size_t sequence = static_cast<size_t>(i / heads);
        bias.Fill(*sequences_.items()[sequence].sequence, i % heads, data.items()[sequence]);
      });
  return terms.data();
}

// Computes the outputs of all rows in one matmul, in place where their type allows it.
void LayerBatch::ProjectOutputs() {
  const DataType type = FindOutputType();
  int64_t converted = 0;
  size_t conversions = 0;
  for (const PlacedSequence& placed : sequences_.items()) {
    if (placed.item->type == type) continue;
    converted += placed.sequence->query_length;
    conversions += internal::MaxConversions(placed.sequence->query_length);
  }
  ArenaList<Conversion> list(frame_, conversions);
  BatchRows<std::byte> outputs(frame_, queries_.rows, converted, config_.embed_dim, type);
  for (const PlacedSequence& placed : sequences_.items()) {
    const LayerSequence& s = *placed.sequence;
    outputs.Add(placed.item->type, s.output, s.query_length, list);
  }
  Project({{&layer_.output(), {contexts_.rows, AddressRows(contexts_), outputs.rows(), type}}},
          context_);
  internal::Convert(list.items(), context_);
}

// The type that the output projection writes: the items' common type if possible, so that
// nothing is left to convert. The bits are those of float32, converted.
DataType LayerBatch::FindOutputType() const {
  const auto is_bfloat16 = [](const LayerItem* item) { return item->type == DataType::kBFloat16; };
  const bool all = std::all_of(items_.begin(), items_.end(), is_bfloat16);
  return all ? DataType::kBFloat16 : DataType::kFloat32;
}

LayerBatch::Matrix LayerBatch::TakeMatrix(int64_t rows, int64_t width) {
  const size_t bytes = static_cast<size_t>(rows * width) * ElementSize(type_);
  return {frame_.Take<std::byte>(bytes), width, rows};
}

std::byte* LayerBatch::RowAt(const Matrix& matrix, int64_t row) const {
  return matrix.data + row * matrix.width * static_cast<int64_t>(ElementSize(type_));
}

std::byte** LayerBatch::AddressRows(const Matrix& matrix) {
  std::byte** const addresses = frame_.Take<std::byte*>(static_cast<size_t>(matrix.rows));
  for (int64_t row = 0; row < matrix.rows; ++row) addresses[row] = RowAt(matrix, row);
  return addresses;
}

}  // namespace attend
