#include "core/linalg/onednn_linear.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/math.h"
#include "core/linalg/onednn_matmul.h"
#include "core/linalg/row_blocks.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

// Rows of a block, descending. 64 rows are bit-stable in every position everywhere it was
// tried. The smaller ones are tried at load; without them a short request pays for 64 rows.
constexpr int64_t kBlockSizes[] = {64, 32, 16, 8, 4, 1};
constexpr int64_t kFullBlock = kBlockSizes[0];

// Outputs of one task: 768 x 256 floats of weights are 768 KiB, which stay in a
// second-level cache of 1 MiB while the blocks of rows pass by.
constexpr int64_t kChunkOutputs = 256;

// Chunks are multiples of oneDNN's own blocks of outputs.
constexpr int64_t kOutputUnit = 64;

// Matmuls of one shape but for the rows, by index of the block size.
using MatmulsBySize = std::vector<std::shared_ptr<const Matmul>>;

// Whether rows follow each other in memory.
template <typename Byte>
bool AreAdjacent(Byte* const* rows, int64_t count, int64_t row_bytes) {
  for (int64_t r = 1; r < count; ++r) {
    if (rows[r] != rows[r - 1] + row_bytes) return false;
  }
  return true;
}

class OneDnnLinear final : public Linear {
 public:
  // Throws dnnl::error.
  OneDnnLinear(const LinearConfig& config, absl::Span<const float> weight,
               absl::Span<const float> bias)
      : config_(config),
        bias_(bias.begin(), bias.end()),
        blocks_({std::begin(kBlockSizes), std::end(kBlockSizes)}) {
    bias_.resize(static_cast<size_t>(config.outputs), 0.0f);
    const int64_t count = DivideUp(config.outputs, kChunkOutputs);
    chunk_outputs_ = RoundUp(DivideUp(config.outputs, count), kOutputUnit);
    for (int64_t begin = 0; begin < config.outputs; begin += chunk_outputs_) {
      AddChunk(begin, weight);
    }
    KeepStableBlocks(weight);
  }

  const LinearConfig& config() const override { return config_; }

  int64_t NumTasks(int64_t rows) const override {
    return blocks_.Count(rows) * static_cast<int64_t>(chunks_.size());
  }

  void Run(int64_t task, const LinearBatch& batch, Arena& arena) const override {
    const int64_t count = blocks_.Count(batch.rows);
    const RowBlocks::Block block = blocks_.At(task % count, batch.rows);
    const Chunk& chunk = chunks_[static_cast<size_t>(task / count)];
    const int64_t size = blocks_.size(block.size_index);
    const int64_t rows = std::min(size, batch.rows - block.begin);
    const DataType type = NativeType(batch.output_type);
    ArenaFrame frame(arena);
    const std::byte* const x = GatherRows(batch.x + block.begin, rows, size, frame);
    std::byte* const* const to = batch.y + block.begin;
    if (type == batch.output_type && rows == size && AreAdjacent(to, rows, OutputRowBytes(type))) {
      return RunBlock(chunk, type, block.size_index, x, bias_.data(), to[0]);
    }
    std::byte* const y = frame.Take<std::byte>(static_cast<size_t>(size * OutputRowBytes(type)));
    RunBlock(chunk, type, block.size_index, x, bias_.data(), y);
    for (int64_t r = 0; r < rows; ++r) {
      ConvertFloats(type, y + r * OutputRowBytes(type) + OutputBytes(type, chunk.begin),
                    batch.output_type, to[r] + OutputBytes(batch.output_type, chunk.begin),
                    chunk.outputs);
    }
  }

 private:
  struct Chunk {
    int64_t begin = 0;    // first output
    int64_t outputs = 0;  // from there on
    MatmulsBySize to_float32, to_bfloat16;
    dnnl::memory weights;
  };

  static int64_t OutputBytes(DataType type, int64_t outputs) {
    return outputs * static_cast<int64_t>(ElementSize(type));
  }
  int64_t OutputRowBytes(DataType type) const { return OutputBytes(type, config_.outputs); }
  int64_t InputRowBytes() const { return OutputBytes(config_.input_type, config_.inputs); }

  // What oneDNN writes where `output_type` is asked for.
  DataType NativeType(DataType output_type) const {
    return writes_bfloat16_ ? output_type : DataType::kFloat32;
  }

  void AddChunk(int64_t begin, absl::Span<const float> weight) {
    Chunk chunk;
    chunk.begin = begin;
    chunk.outputs = std::min(chunk_outputs_, config_.outputs - begin);
    // One layout for all: the one that the full block to the input's type asks for.
    dnnl::memory::desc layout({config_.inputs, chunk.outputs}, OneDnnType(config_.input_type),
                              dnnl::memory::format_tag::any);
    if (!chunks_.empty() && chunk.outputs == chunk_outputs_) {
      chunk.to_float32 = chunks_.front().to_float32;  // same shape, same code
      chunk.to_bfloat16 = chunks_.front().to_bfloat16;
      layout = chunks_.front().weights.get_desc();
    } else {
      if (config_.input_type == DataType::kBFloat16) {
        chunk.to_bfloat16 = MakeMatmuls(chunk.outputs, DataType::kBFloat16, layout);
      }
      chunk.to_float32 = MakeMatmuls(chunk.outputs, DataType::kFloat32, layout);
    }
    chunk.weights =
        PackWeights(weight.data() + begin * config_.inputs, config_.inputs, chunk.outputs, layout);
    chunks_.push_back(std::move(chunk));
  }

  // One matmul per block size. Replaces format_tag::any in `layout` by the layout chosen.
  MatmulsBySize MakeMatmuls(int64_t outputs, DataType output_type,
                            dnnl::memory::desc& layout) const {
    MatmulsBySize matmuls;
    for (const int64_t rows : kBlockSizes) {
      const MatmulShape shape = {
          rows, config_.inputs, outputs, config_.outputs, config_.input_type, output_type};
      matmuls.push_back(std::make_shared<const Matmul>(shape, layout));
      layout = matmuls.back()->weights_desc();
    }
    return matmuls;
  }

  // `size` rows that follow each other in memory and begin with the `rows` given.
  const std::byte* GatherRows(const std::byte* const* x, int64_t rows, int64_t size,
                              ArenaFrame& frame) const {
    if (rows == size && AreAdjacent(x, rows, InputRowBytes())) return x[0];
    const auto row_bytes = static_cast<size_t>(InputRowBytes());
    std::byte* const gathered = frame.Take<std::byte>(static_cast<size_t>(size) * row_bytes);
    std::byte* to = gathered;
    for (int64_t r = 0; r < rows; ++r, to += row_bytes) std::memcpy(to, x[r], row_bytes);
    std::memset(to, 0, static_cast<size_t>(size - rows) * row_bytes);
    return gathered;
  }

  // One block of rows, contiguous; y has rows of all outputs, of which the chunk's are written.
  void RunBlock(const Chunk& chunk, DataType type, size_t size_index, const std::byte* x,
                const float* bias, std::byte* y) const {
    const MatmulsBySize& matmuls =
        type == DataType::kFloat32 ? chunk.to_float32 : chunk.to_bfloat16;
    matmuls[size_index]->Run(x, chunk.weights, bias + chunk.begin,
                             y + OutputBytes(type, chunk.begin));
  }

  // Keeps the sizes in whose blocks a row has the same bits as in a full block, at any
  // multiple of the size, and oneDNN's own rounding to bfloat16 if it gives the bits of
  // ours. All rows are one row, and the bias takes away what it gives: what is left is the
  // sum's rounding error, which shows the order of summation even where results are then
  // rounded to bfloat16.
  void KeepStableBlocks(absl::Span<const float> weight) {
    const std::vector<float> row = MakeProbeRow();
    const std::vector<float> bias = NegateProduct(row, weight);
    std::vector<std::byte> x(static_cast<size_t>(kFullBlock * InputRowBytes()));
    for (int64_t r = 0; r < kFullBlock; ++r) {
      ConvertFromFloat(row.data(), config_.input_type, x.data() + r * InputRowBytes(),
                       config_.inputs);
    }
    const std::vector<std::byte> full = RunProbe(DataType::kFloat32, 0, x, bias);
    std::vector<std::byte> rounded;
    if (config_.input_type == DataType::kBFloat16) {
      rounded.resize(full.size() / 2);
      ConvertFromFloat(reinterpret_cast<const float*>(full.data()), DataType::kBFloat16,
                       rounded.data(), kFullBlock * config_.outputs);
      writes_bfloat16_ = RunProbe(DataType::kBFloat16, 0, x, bias) == rounded;
    }
    std::vector<int64_t> sizes = {kFullBlock};
    std::vector<size_t> kept = {0};
    for (size_t i = 1; i < std::size(kBlockSizes); ++i) {
      if (RunProbe(DataType::kFloat32, i, x, bias) != full) continue;
      if (writes_bfloat16_ && RunProbe(DataType::kBFloat16, i, x, bias) != rounded) continue;
      sizes.push_back(kBlockSizes[i]);
      kept.push_back(i);
    }
    for (Chunk& chunk : chunks_) {
      chunk.to_float32 = Select(chunk.to_float32, kept);
      chunk.to_bfloat16 = writes_bfloat16_ ? Select(chunk.to_bfloat16, kept) : MatmulsBySize();
    }
    blocks_ = RowBlocks(std::move(sizes));
  }

  // A full block of rows, computed in blocks of one size.
  std::vector<std::byte> RunProbe(DataType type, size_t size_index, const std::vector<std::byte>& x,
                                  const std::vector<float>& bias) const {
    std::vector<std::byte> y(static_cast<size_t>(kFullBlock * OutputRowBytes(type)));
    for (int64_t r = 0; r < kFullBlock; r += kBlockSizes[size_index]) {
      for (const Chunk& chunk : chunks_) {
        RunBlock(chunk, type, size_index, x.data() + r * InputRowBytes(), bias.data(),
                 y.data() + r * OutputRowBytes(type));
      }
    }
    return y;
  }

  static MatmulsBySize Select(const MatmulsBySize& matmuls, const std::vector<size_t>& indices) {
    MatmulsBySize selected;
    for (const size_t index : indices) selected.push_back(matmuls[index]);
    return selected;
  }

  // Numbers that the input's type holds.
  std::vector<float> MakeProbeRow() const {
    std::vector<float> row(static_cast<size_t>(config_.inputs));
    std::minstd_rand random(1);
    for (float& value : row) {
      value = static_cast<float>(random()) / static_cast<float>(random.max()) - 0.5f;
      value = Rounded(value);
    }
    return row;
  }

  std::vector<float> NegateProduct(const std::vector<float>& row,
                                   absl::Span<const float> weight) const {
    std::vector<float> bias(static_cast<size_t>(config_.outputs));
    for (int64_t o = 0; o < config_.outputs; ++o) {
      double sum = 0.0;
      for (int64_t i = 0; i < config_.inputs; ++i) {
        sum += static_cast<double>(row[i]) * Rounded(weight[o * config_.inputs + i]);
      }
      bias[o] = static_cast<float>(-sum);
    }
    return bias;
  }

  float Rounded(float value) const {
    return config_.input_type == DataType::kBFloat16 ? BFloat16ToFloat(FloatToBFloat16(value))
                                                     : value;
  }

  const LinearConfig config_;
  std::vector<float> bias_;  // zeros where there is none
  int64_t chunk_outputs_ = 0;
  std::vector<Chunk> chunks_;
  RowBlocks blocks_;
  bool writes_bfloat16_ = false;  // verified to give the bits that rounding float32 gives
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Linear>> MakeOneDnnLinear(const LinearConfig& config,
                                                               absl::Span<const float> weight,
                                                               absl::Span<const float> bias) {
  try {
    return std::make_unique<const OneDnnLinear>(config, weight, bias);
  } catch (const dnnl::error& error) {
    return absl::FailedPreconditionError(
        absl::StrCat("oneDNN cannot make a matmul of ", config.inputs, " inputs and ",
                     config.outputs, " outputs in ", Name(config.input_type), ": ", error.what()));
  }
}

}  // namespace attend::internal
