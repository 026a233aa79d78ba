#include "core/linalg/dnnl_linear.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/linalg/matmul.h"
#include "core/tensor/convert.h"

namespace attend::internal {
namespace {

constexpr int64_t kFullBlock = 64;  // bit-stable in every position everywhere it was tried

// Smaller blocks, tried at load; without them a short request pays for 64 rows.
constexpr int64_t kSmallBlocks[] = {32, 16, 8, 4, 1};

// Outputs of one task: 768 x 256 floats of weights are 768 KiB, which stay in a
// second-level cache of 1 MiB while the blocks of rows pass by.
constexpr int64_t kChunkOutputs = 256;

// What starting a block costs, in rows: its weights are read once however few
// rows use them. Measured: 1 row takes about a third of the time of 32.
constexpr int64_t kBlockOverheadRows = 10;

int64_t RoundUp(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Blocks for a remainder of rows, 0 = none. The last one may be too large.
struct Tail {
  int64_t first = 0, second = 0;
};

class DnnlLinear final : public Linear {
 public:
  // Throws dnnl::error.
  DnnlLinear(const LinearConfig& config, absl::Span<const float> weight,
             absl::Span<const float> bias)
      : config_(config), bias_(bias.begin(), bias.end()) {
    bias_.resize(config.outputs, 0.0f);
    const int64_t count = (config.outputs + kChunkOutputs - 1) / kChunkOutputs;
    chunk_outputs_ = RoundUp((config.outputs + count - 1) / count, 64);
    for (int64_t begin = 0; begin < config.outputs; begin += chunk_outputs_) {
      AddChunk(begin, weight);
    }
    KeepStableBlocks(weight);
    PlanTails();
  }

  const LinearConfig& config() const override { return config_; }

  int64_t PaddedRows(int64_t rows) const override {
    if (rows == 0) return 0;
    const Block last = BlockAt(NumBlocks(rows) - 1, rows);
    return last.begin + sizes_[last.size_index];
  }

  int64_t NumTasks(int64_t rows) const override {
    return NumBlocks(rows) * static_cast<int64_t>(chunks_.size());
  }

  void RunTaskOn(int64_t task, int64_t rows, const LinearRows<const std::byte>& x,
                 const LinearRows<std::byte>& y, DataType /*output_type*/) const override {
    const int64_t blocks = NumBlocks(rows);
    const Block block = BlockAt(task % blocks, rows);
    RunBlock(chunks_[task / blocks], block.size_index, x.data + block.begin * InputRowBytes(),
             bias_.data(), y.data + block.begin * OutputRowBytes());
  }
  bool Scatters() const override { return false; }

 private:
  struct Chunk {
    int64_t begin = 0;                                   // first output
    std::vector<std::shared_ptr<const Matmul>> matmuls;  // by index into sizes_
    dnnl::memory weights;
  };
  struct Block {
    int64_t begin = 0;
    int64_t size_index = 0;
  };

  int64_t InputRowBytes() const {
    return config_.inputs * static_cast<int64_t>(ElementSize(config_.input_type));
  }
  int64_t OutputRowBytes() const {
    return config_.outputs * static_cast<int64_t>(ElementSize(config_.output_type));
  }

  void AddChunk(int64_t begin, absl::Span<const float> weight) {
    Chunk chunk;
    chunk.begin = begin;
    MatmulShape shape;
    shape.inputs = config_.inputs;
    shape.outputs = std::min(chunk_outputs_, config_.outputs - begin);
    shape.output_stride = config_.outputs;
    shape.input_type = config_.input_type;
    shape.output_type = config_.output_type;
    if (!chunks_.empty() && shape.outputs == chunk_outputs_) {
      chunk.matmuls = chunks_.front().matmuls;  // same shape, same code
    } else {
      // One layout for all row counts: the one that the full block asks for.
      shape.rows = kFullBlock;
      const dnnl::memory::desc any({shape.inputs, shape.outputs}, DnnlType(config_.input_type),
                                   dnnl::memory::format_tag::any);
      chunk.matmuls.push_back(std::make_shared<const Matmul>(shape, any));
      for (const int64_t rows : kSmallBlocks) {
        shape.rows = rows;
        chunk.matmuls.push_back(
            std::make_shared<const Matmul>(shape, chunk.matmuls.front()->weights_desc()));
      }
    }
    chunk.weights = PackWeights(weight.data() + begin * config_.inputs, config_.inputs,
                                shape.outputs, chunk.matmuls.front()->weights_desc());
    chunks_.push_back(std::move(chunk));
  }

  void RunBlock(const Chunk& chunk, int64_t size_index, const std::byte* x, const float* bias,
                std::byte* y) const {
    chunk.matmuls[size_index]->Run(
        x, chunk.weights, bias + chunk.begin,
        y + chunk.begin * static_cast<int64_t>(ElementSize(config_.output_type)));
  }

  // Drops the sizes in whose blocks a row gets other bits than in a full block,
  // at any multiple of the size. All rows are one row, and the bias takes away
  // what it gives: what is left is the sum's rounding error, which shows the order
  // of summation even where results are then rounded to bfloat16.
  void KeepStableBlocks(absl::Span<const float> weight) {
    sizes_.assign(1, kFullBlock);
    sizes_.insert(sizes_.end(), std::begin(kSmallBlocks), std::end(kSmallBlocks));
    const std::vector<float> row = ProbeRow();
    const std::vector<float> bias = MinusProduct(row, weight);
    std::vector<std::byte> x(kFullBlock * InputRowBytes());
    for (int64_t r = 0; r < kFullBlock; ++r) {
      ConvertFromFloat(row.data(), config_.input_type, x.data() + r * InputRowBytes(),
                       config_.inputs);
    }
    std::vector<std::byte> full(kFullBlock * OutputRowBytes()), cut(full.size());
    for (const Chunk& chunk : chunks_) RunBlock(chunk, 0, x.data(), bias.data(), full.data());
    for (size_t index = sizes_.size() - 1; index > 0; --index) {
      for (int64_t r = 0; r < kFullBlock; r += sizes_[index]) {
        for (const Chunk& chunk : chunks_) {
          RunBlock(chunk, static_cast<int64_t>(index), x.data() + r * InputRowBytes(), bias.data(),
                   cut.data() + r * OutputRowBytes());
        }
      }
      if (full != cut) Drop(index);
    }
  }

  // Numbers of the input's type.
  std::vector<float> ProbeRow() const {
    std::vector<float> row(config_.inputs);
    std::minstd_rand random(1);
    for (float& value : row) {
      value = static_cast<float>(random()) / static_cast<float>(random.max()) - 0.5f;
      value = Rounded(value);
    }
    return row;
  }

  std::vector<float> MinusProduct(const std::vector<float>& row,
                                  absl::Span<const float> weight) const {
    std::vector<float> bias(config_.outputs);
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

  void Drop(size_t index) {
    const auto at = static_cast<std::ptrdiff_t>(index);
    sizes_.erase(sizes_.begin() + at);
    for (Chunk& chunk : chunks_) chunk.matmuls.erase(chunk.matmuls.begin() + at);
  }

  // For each remainder, the one or two blocks that cost least.
  void PlanTails() {
    tails_.resize(kFullBlock);
    for (int64_t rows = 1; rows < kFullBlock; ++rows) {
      int64_t best = std::numeric_limits<int64_t>::max();
      for (const int64_t first : sizes_) {
        if (first >= rows) {
          Offer(rows, {first, 0}, kBlockOverheadRows + first, best);
          continue;
        }
        for (const int64_t second : sizes_) {
          if (first + second < rows || second > first) continue;
          Offer(rows, {first, second}, 2 * kBlockOverheadRows + first + second, best);
        }
      }
    }
  }

  void Offer(int64_t rows, Tail tail, int64_t cost, int64_t& best) {
    if (cost >= best) return;
    best = cost;
    tails_[rows] = tail;
  }

  int64_t NumBlocks(int64_t rows) const {
    const Tail& tail = tails_[rows % kFullBlock];
    return rows / kFullBlock + (tail.first > 0 ? 1 : 0) + (tail.second > 0 ? 1 : 0);
  }

  Block BlockAt(int64_t index, int64_t rows) const {
    const int64_t full = rows / kFullBlock;
    if (index < full) return {index * kFullBlock, 0};
    const Tail& tail = tails_[rows % kFullBlock];
    if (index == full) return {full * kFullBlock, IndexOf(tail.first)};
    return {full * kFullBlock + tail.first, IndexOf(tail.second)};
  }

  int64_t IndexOf(int64_t size) const {
    return std::find(sizes_.begin(), sizes_.end(), size) - sizes_.begin();
  }

  const LinearConfig config_;
  std::vector<float> bias_;  // zeros where there is none
  int64_t chunk_outputs_ = 0;
  std::vector<Chunk> chunks_;
  std::vector<int64_t> sizes_;  // of row blocks, descending
  std::vector<Tail> tails_;     // by remainder
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Linear>> MakeDnnlLinear(const LinearConfig& config,
                                                             absl::Span<const float> weight,
                                                             absl::Span<const float> bias) {
  try {
    return std::make_unique<const DnnlLinear>(config, weight, bias);
  } catch (const dnnl::error& error) {
    return absl::FailedPreconditionError(
        absl::StrCat("oneDNN cannot make a matmul of ", config.inputs, " inputs and ",
                     config.outputs, " outputs in ", Name(config.input_type), ": ", error.what()));
  }
}

}  // namespace attend::internal
