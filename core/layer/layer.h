#ifndef ATTEND_CORE_LAYER_LAYER_H_
#define ATTEND_CORE_LAYER_LAYER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/attention/problem.h"
#include "core/exec/execution_context.h"

namespace attend {

enum class ComputeType { kFloat32, kBFloat16 };

// Rotary position embedding of queries and keys, after bias and norm
// (Su et al., 2021, arxiv.org/abs/2104.09864): pairs of the first `width`
// features are turned by position * f_m, f_m = theta^(-2m / width). The angle is
// computed in double.
struct RotaryConfig {
  enum class Pairs { kHalfSplit, kInterleaved };  // (m, m + R/2), (2m, 2m + 1)
  enum class Scaling { kNone, kLinear, kLlama3 };

  int64_t width = 0;  // R, even, 0 < R <= D
  double theta = 10000.0;
  Pairs pairs = Pairs::kHalfSplit;
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;  // f / factor; of Llama 3 for the low frequencies only
  double low_frequency_factor = 1.0, high_frequency_factor = 4.0;  // kLlama3
  int64_t original_max_position = 8192;                            // kLlama3
};

// A learned bias of scores by the distance of key and query (Raffel et al.,
// 2020, arxiv.org/abs/1910.10683, section 2.1).
struct RelativeBiasConfig {
  int64_t buckets = 0;
  int64_t max_distance = 128;
  bool bidirectional = true;
};

// What a layer is. All widths >= 1, H % Hkv == 0.
struct LayerConfig {
  std::string name;
  int64_t embed_dim = 0;  // E, of query and output
  int64_t key_dim = 0;    // width of key's input
  int64_t value_dim = 0;  // width of value's input
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t value_head_dim = 0;
  float scale = 0.0f;  // of scores, where a request gives none
  // Where a request gives none; 0 and absent: none.
  float softcap = 0.0f;
  std::optional<int64_t> window_left, window_right;
  std::optional<RotaryConfig> rotary;
  std::optional<RelativeBiasConfig> relative_bias;
  bool query_key_norm = false;  // RMS norm over the features of each head
  double norm_epsilon = 1e-6;
  ComputeType compute = ComputeType::kFloat32;
  std::vector<int64_t> pruned_heads;
  std::string sha256;  // hex, of the source

  HeadShape heads() const { return {num_heads, num_kv_heads, head_dim, value_head_dim}; }
};

// float32, row-major [out, in] as checkpoints store them: y = x W^T + b.
// An empty bias adds nothing.
struct LayerWeights {
  std::vector<float> query_weight, query_bias;    // [H * D, embed_dim], [H * D]
  std::vector<float> key_weight, key_bias;        // [Hkv * D, key_dim], [Hkv * D]
  std::vector<float> value_weight, value_bias;    // [Hkv * Dv, value_dim], [Hkv * Dv]
  std::vector<float> output_weight, output_bias;  // [embed_dim, H * Dv], [embed_dim]
  std::vector<float> query_norm, key_norm;        // [D], with query_key_norm
  std::vector<float> relative_bias;               // [buckets, H], with relative_bias
};

// Where the rows come from that keys and values are projected from.
enum class KeySource {
  kQueryRows,  // self-attention: the query's rows
  kOwnRows,    // rows of their own
};

// One sequence of an item: its arguments, and where its rows are. Rows are contiguous, of
// the item's data type.
struct LayerSequence : SequenceArgs {
  LayerSequence() = default;
  explicit LayerSequence(const SequenceArgs& args) : SequenceArgs(args) {}

  KeySource key_source = KeySource::kQueryRows;
  const std::byte* query = nullptr;  // [Lq, embed_dim]
  const std::byte* key = nullptr;    // [Lk, key_dim], with kOwnRows
  const std::byte* value = nullptr;  // [Lk, value_dim], with kOwnRows; may be the key's
  std::byte* output = nullptr;       // [Lq, embed_dim]
};

// What one request asks of a layer.
struct LayerItem {
  DataType type = DataType::kFloat32;  // of query, key, value and output
  const AttentionParams* params = nullptr;
  std::vector<LayerSequence> sequences;
};

// Multi-head attention with its projections; weights are packed once, when the
// layer is made. Immutable, thread-safe.
class Layer {
 public:
  // INVALID_ARGUMENT where sizes do not fit the config, FAILED_PRECONDITION
  // where this CPU cannot compute in the type asked for.
  static absl::StatusOr<std::unique_ptr<const Layer>> Create(LayerConfig config,
                                                             const LayerWeights& weights);
  virtual ~Layer() = default;

  virtual const LayerConfig& config() const = 0;
  virtual bool has_query_bias() const = 0;
  virtual bool has_key_bias() const = 0;
  virtual bool has_value_bias() const = 0;
  virtual bool has_output_bias() const = 0;
  virtual int64_t parameter_count() const = 0;

  // Computes all items together: one matmul a projection over the rows of all
  // of them, then attention a sequence, then the output projection. An item's
  // bits do not depend on its company. Blocks until done.
  virtual void Run(absl::Span<const LayerItem* const> items, ExecutionContext& context) const = 0;

  // Cost of `item`, for batching: floating-point operations, and working bytes
  // that Run holds for it beside its inputs and outputs.
  virtual double Flops(const LayerItem& item) const = 0;
  virtual int64_t WorkingBytes(const LayerItem& item) const = 0;
};

}  // namespace attend

#endif  // ATTEND_CORE_LAYER_LAYER_H_
