// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/onednn_linear.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/math.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

// Rows of a full block: bit-stable in every position on every machine tried.
constexpr int64_t kFullBlock = 64;

// Smaller blocks, which are verified at load. Beside panels, 32 rows are the fewest that oneDNN
// computes about as fast; without this size a short request would pay for 64 rows.
constexpr int64_t kSmallBlocks[] = {32};
constexpr int64_t kSmallBlocksWithoutPanels[] = {32, 16, 8, 4, 1};

// Outputs of one task: 768 x 256 floats of weights are 768 KiB, which stay in a second-level
// cache of 1 MiB across the blocks of rows.
constexpr int64_t kChunkOutputs = 256;

// The numbers of inputs that oneDNN sums before it adds up such sums: all of them (0), or blocks
// of 512 or 1024, as observed in 2.6.3 and 3.7.2 with AVX-512.
constexpr int64_t kSumInputs[] = {0, 512, 1024};

bool HaveSameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Computes a full block of a probe's rows by panels.
std::vector<float> RunProbeByPanels(const PanelWeights& panels, const LinearProbe& probe) {
  const int64_t outputs = static_cast<int64_t>(probe.bias.size());
  const int64_t row_bytes = static_cast<int64_t>(probe.x.size()) / kFullBlock;
  std::vector<float> y(static_cast<size_t>(kFullBlock * outputs));
  std::vector<const std::byte*> x_rows;
  std::vector<std::byte*> y_rows;
  for (int64_t r = 0; r < kFullBlock; ++r) {
    x_rows.push_back(probe.x.data() + r * row_bytes);
    y_rows.push_back(reinterpret_cast<std::byte*>(y.data() + r * outputs));
  }
  const LinearBatch batch = {kFullBlock, x_rows.data(), y_rows.data(), DataType::kFloat32};
  Arena arena;
  PanelWeights with_bias = panels;
  AlignedBuffer bias(probe.bias.size() * sizeof(float));
  std::copy(probe.bias.begin(), probe.bias.end(), bias.as<float>());
  with_bias.bias = bias.as<float>();
  for (int64_t block = 0; block < outputs / kColumnBlock; ++block) {
    RunColumnBlock(with_bias, block, batch, arena);
  }
  return y;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const OneDnnLinear>> OneDnnLinear::Create(
    const LinearConfig& config, absl::Span<const float> weight, absl::Span<const float> bias) {
  try {
    return std::unique_ptr<const OneDnnLinear>(new OneDnnLinear(config, weight, bias));
  } catch (const dnnl::error& error) {
    return absl::FailedPreconditionError(
        absl::StrCat("oneDNN cannot make a matmul of ", config.inputs, " inputs and ",
                     config.outputs, " outputs in ", Name(config.input_type), ": ", error.what()));
  }
}

OneDnnLinear::OneDnnLinear(const LinearConfig& config, absl::Span<const float> weight,
                           absl::Span<const float> bias)
    : config_(config),
      outputs_(RoundUp(config.outputs, kColumnBlock)),
      bias_(static_cast<size_t>(outputs_) * sizeof(float)),
      blocks_({kFullBlock}, RowBlocks::End::kPadded) {
  std::fill_n(bias_.as<float>(), outputs_, 0.0f);
  std::copy(bias.begin(), bias.end(), bias_.as<float>());
  MakeChunks();
  Pack(weight);
  FindPanels();
  AddSmallBlocks(weight);
}

// Tasks are blocks of rows times chunks of outputs, by oneDNN; the remaining rows follow, by
// panels.
int64_t OneDnnLinear::NumTasks(int64_t rows) const {
  const int64_t panel_tasks = blocks_.Rest(rows) > 0 ? outputs_ / kColumnBlock : 0;
  return blocks_.Count(rows) * static_cast<int64_t>(chunks_.size()) + panel_tasks;
}

void OneDnnLinear::Run(int64_t task, const LinearBatch& batch, Arena& arena) const {
  const int64_t count = blocks_.Count(batch.rows);
  const int64_t block_tasks = count * static_cast<int64_t>(chunks_.size());
  if (task < block_tasks) {
    const RowBlocks::Block block = blocks_.At(task % count, batch.rows);
    return RunBlock(chunks_[static_cast<size_t>(task / count)], block, batch, arena);
  }
  const int64_t rest = blocks_.Rest(batch.rows), first = batch.rows - rest;
  RunColumnBlock(*panels_, task - block_tasks,
                 {rest, batch.x + first, batch.y + first, batch.output_type}, arena);
}

int64_t OneDnnLinear::InputRowBytes() const {
  return config_.inputs * static_cast<int64_t>(ElementSize(config_.input_type));
}

MatmulShape OneDnnLinear::Shape(int64_t rows, int64_t outputs) const {
  return {rows, config_.inputs, outputs, config_.input_type};
}

// Makes the chunks with the full block's matmuls, whose layout of the weights all other sizes
// share.
void OneDnnLinear::MakeChunks() {
  const int64_t count = DivideUp(outputs_, kChunkOutputs);
  const int64_t size = RoundUp(DivideUp(outputs_, count), kColumnBlock);
  for (int64_t begin = 0; begin < outputs_; begin += size) {
    Chunk chunk;
    chunk.begin = begin;
    chunk.outputs = std::min(size, outputs_ - begin);
    if (begin > 0 && chunk.outputs == size) {
      chunk.matmuls = chunks_.front().matmuls;  // same shape, same code
    } else {
      const MatmulShape shape = Shape(kFullBlock, chunk.outputs);
      chunk.matmuls.push_back(std::make_shared<const Matmul>(shape, AnyLayout(shape)));
    }
    chunks_.push_back(std::move(chunk));
  }
}

void OneDnnLinear::Pack(absl::Span<const float> weight) {
  size_t bytes = 0;
  for (const Chunk& chunk : chunks_) bytes += chunk.matmuls[0]->weights_desc().get_size();
  weights_ = AlignedBuffer(bytes);
  std::byte* to = weights_.data();
  for (Chunk& chunk : chunks_) {
    const float* from = weight.data() + chunk.begin * config_.inputs;
    const int64_t outputs = std::min(chunk.outputs, config_.outputs - chunk.begin);
    std::vector<float> padded;  // padded with outputs of 0
    if (outputs < chunk.outputs) {
      padded.assign(from, from + outputs * config_.inputs);
      padded.resize(static_cast<size_t>(chunk.outputs * config_.inputs), 0.0f);
      from = padded.data();
    }
    const dnnl::memory::desc layout = chunk.matmuls[0]->weights_desc();
    chunk.weights = PackWeights(from, Shape(kFullBlock, chunk.outputs), layout, to);
    to += layout.get_size();
  }
}

// Lets panels read oneDNN's weights if they give the same bits in one of the summation orders
// that oneDNN is known to use.
void OneDnnLinear::FindPanels() {
  PanelWeights panels = {PanelRowFormat(config_.input_type, config_.inputs), config_.outputs};
  if (PanelWidth() != kColumnBlock) return;
  if (config_.input_type == DataType::kBFloat16 && !panels.format.bfloat16_pairs) return;
  for (const Chunk& chunk : chunks_) {
    if (!LiesInPanels(Shape(kFullBlock, chunk.outputs), chunk.weights.get_desc())) return;
  }
  panels.weights = weights_.as<float>();
  panels.bias = bias_.as<float>();
  panels.block_words = static_cast<int64_t>(weights_.size() / sizeof(float)) / outputs_;
  const LinearProbe probe = MakeDifferentRows(config_, kFullBlock);
  const std::vector<float> expected = RunProbe(probe, 0, kFullBlock);
  for (const int64_t inputs : kSumInputs) {
    if (inputs >= config_.inputs) continue;
    panels.sum_words = panels.format.bfloat16_pairs ? inputs / 2 : inputs;
    if (!HaveSameBits(RunProbeByPanels(panels, probe), expected)) continue;
    panels_ = panels;
    return;
  }
}

// Adds the smaller blocks in which a row has the same bits as in a full block.
void OneDnnLinear::AddSmallBlocks(absl::Span<const float> weight) {
  const LinearProbe probe = MakeEqualRows(config_, weight, kFullBlock);
  const std::vector<float> expected = RunProbe(probe, 0, kFullBlock);
  std::vector<int64_t> sizes = {kFullBlock};
  const absl::Span<const int64_t> candidates = has_panels()
                                                   ? absl::MakeConstSpan(kSmallBlocks)
                                                   : absl::MakeConstSpan(kSmallBlocksWithoutPanels);
  for (const int64_t rows : candidates) {
    std::vector<Chunk> larger = chunks_;
    for (size_t i = 0; i < chunks_.size(); ++i) {
      Chunk& chunk = chunks_[i];
      if (i > 0 && chunk.outputs == chunks_.front().outputs) {
        chunk.matmuls = chunks_.front().matmuls;
        continue;
      }
      chunk.matmuls.push_back(
          std::make_shared<const Matmul>(Shape(rows, chunk.outputs), chunk.weights.get_desc()));
    }
    if (HaveSameBits(RunProbe(probe, sizes.size(), rows), expected)) {
      sizes.push_back(rows);
    } else {
      chunks_ = std::move(larger);
    }
  }
  blocks_ =
      RowBlocks(std::move(sizes), has_panels() ? RowBlocks::End::kRest : RowBlocks::End::kPadded);
}

// Computes a full block of a probe's rows by oneDNN, in blocks of one size.
std::vector<float> OneDnnLinear::RunProbe(const LinearProbe& probe, size_t size_index,
                                          int64_t size) const {
  std::vector<float> y(static_cast<size_t>(kFullBlock * outputs_)), block;
  for (const Chunk& chunk : chunks_) {
    block.resize(static_cast<size_t>(size * chunk.outputs));
    for (int64_t row = 0; row < kFullBlock; row += size) {
      chunk.matmuls[size_index]->Run(probe.x.data() + row * InputRowBytes(), chunk.weights,
                                     probe.bias.data() + chunk.begin, block.data());
      for (int64_t r = 0; r < size; ++r) {
        std::copy_n(block.data() + r * chunk.outputs, chunk.outputs,
                    y.data() + (row + r) * outputs_ + chunk.begin);
      }
    }
  }
  return y;
}

void OneDnnLinear::RunBlock(const Chunk& chunk, const RowBlocks::Block& block,
                            const LinearBatch& batch, Arena& arena) const {
  const int64_t size = blocks_.size(block.size_index);
  const int64_t rows = std::min(size, batch.rows - block.begin);
  ArenaFrame frame(arena);
  const std::byte* const x = GatherRows(batch.x + block.begin, rows, size, frame);
  float* const y = frame.Take<float>(static_cast<size_t>(size * chunk.outputs));
  chunk.matmuls[block.size_index]->Run(x, chunk.weights, bias_.as<float>() + chunk.begin, y);
  // oneDNN 2 has fast kernels for contiguous results only.
  const auto element = static_cast<int64_t>(ElementSize(batch.output_type));
  const int64_t outputs = std::min(chunk.outputs, config_.outputs - chunk.begin);
  for (int64_t r = 0; r < rows; ++r) {
    std::byte* const to = batch.y[block.begin + r] + chunk.begin * element;
    ConvertFromFloat(y + r * chunk.outputs, batch.output_type, to, outputs);
  }
}

// Returns `size` rows that follow each other in memory and begin with the given rows.
const std::byte* OneDnnLinear::GatherRows(const std::byte* const* x, int64_t rows, int64_t size,
                                          ArenaFrame& frame) const {
  const int64_t row_bytes = InputRowBytes();
  int64_t adjacent = 1;
  while (adjacent < rows && x[adjacent] == x[0] + adjacent * row_bytes) ++adjacent;
  if (adjacent == size) return x[0];
  std::byte* const gathered = frame.Take<std::byte>(static_cast<size_t>(size * row_bytes));
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(gathered + r * row_bytes, x[r], static_cast<size_t>(row_bytes));
  }
  std::memset(gathered + rows * row_bytes, 0, static_cast<size_t>((size - rows) * row_bytes));
  return gathered;
}

}  // namespace attend::internal
