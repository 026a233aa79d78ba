// SPDX-License-Identifier: Apache-2.0

// Whole layers, projections included: self-attention, E = H * D.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

#include "core/layer/layer.h"
#include "core/layer/layer_batch.h"
#include "core/tensor/convert.h"
#include "tests/bench/kernels/work.h"

namespace attend::bench {
namespace {

using Doubles = std::vector<double>;

class Operands {
 public:
  explicit Operands(const nlohmann::json& spec) : type_(TypeOf(spec)) {
    const int64_t e = spec.at("embed"), heads = spec.at("heads");
    const float scale = 1.0f / std::sqrt(static_cast<float>(e));
    config_.name = "bench";
    config_.embed_dim = config_.key_dim = config_.value_dim = e;
    config_.num_heads = config_.num_kv_heads = heads;
    config_.head_dim = config_.value_head_dim = e / heads;
    config_.scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim));
    config_.matmul = ReadMatmul(spec);
    config_.compute = type_ == DataType::kBFloat16 ? ComputeType::kBFloat16 : ComputeType::kFloat32;
    weights_.query_weight = Normal(e * e, scale, 1);
    weights_.key_weight = Normal(e * e, scale, 2);
    weights_.value_weight = Normal(e * e, scale, 3);
    weights_.output_weight = Normal(e * e, scale, 4);
    weights_.query_bias = weights_.key_bias = weights_.value_bias = weights_.output_bias =
        Normal(e, 0.1f, 5);
    auto made = Layer::Create(config_, weights_);
    if (!made.ok()) throw std::runtime_error(std::string(made.status().message()));
    layer_ = std::move(made).value();
    AddSequences(spec.at("lengths"));
  }

  void Run(ExecutionContext& context) const {
    const LayerItem* items[] = {&item_};
    LayerBatch(*layer_, items, context).Run();
  }

  double Flops() const {
    double flops = 0.0;
    for (const LayerSequence& sequence : item_.sequences) {
      flops += layer_->Flops(params_, sequence);
    }
    return flops;
  }
  double Tokens() const { return static_cast<double>(input_.dim(0)); }

  // Compares the first and the last row of the last sequence.
  double Error() const {
    const LayerSequence& last = item_.sequences.back();
    RelativeError error;
    for (const int64_t row : {int64_t{0}, last.query_length - 1}) {
      const Doubles truth = Row(last, row);
      for (int64_t o = 0; o < config_.embed_dim; ++o) {
        error.Add(LoadFloat(type_, last.output, row * config_.embed_dim + o),
                  truth[static_cast<size_t>(o)]);
      }
    }
    return error.Value();
  }

 private:
  void AddSequences(const std::vector<int64_t>& lengths) {
    int64_t tokens = 0;
    for (const int64_t length : lengths) tokens += length;
    const int64_t elements = tokens * config_.embed_dim;
    input_ = Tensor(type_, {tokens, config_.embed_dim});
    output_ = Tensor(type_, {tokens, config_.embed_dim});
    ConvertFromFloat(Normal(elements, 1.0f, 6).data(), type_, input_.data(), elements);
    item_.type = type_;
    params_.scale = config_.scale;
    item_.params = &params_;
    int64_t begin = 0;
    for (const int64_t length : lengths) {
      LayerSequence& sequence = item_.sequences.emplace_back();
      sequence.query_length = sequence.key_length = length;
      sequence.query = input_.data() + begin;
      sequence.output = output_.data() + begin;
      begin += length * config_.embed_dim * static_cast<int64_t>(ElementSize(type_));
    }
  }

  // y = W x + b, with the rows of W starting at `first`.
  static Doubles Project(const std::vector<float>& weight, const std::vector<float>& bias,
                         const Doubles& x, int64_t first, int64_t count) {
    Doubles y(static_cast<size_t>(count));
    for (size_t o = 0; o < y.size(); ++o) {
      const size_t at = static_cast<size_t>(first) + o;
      y[o] = bias[at];
      for (size_t i = 0; i < x.size(); ++i) y[o] += weight[at * x.size() + i] * x[i];
    }
    return y;
  }

  // One row of the result in double. Projections are linear, so each head's
  // query goes back through W_k, q (W_k x + b_k) = (q W_k) x + q b_k, and its
  // mean of values comes from the mean of the inputs: no key or value is made.
  Doubles Row(const LayerSequence& sequence, int64_t row) const {
    const int64_t e = config_.embed_dim, d = config_.head_dim, n = sequence.key_length;
    Doubles x(static_cast<size_t>(n * e));
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = LoadFloat(type_, sequence.query, static_cast<int64_t>(i));
    }
    const Doubles own(x.begin() + row * e, x.begin() + (row + 1) * e);
    Doubles context;
    for (int64_t h = 0; h < config_.num_heads; ++h) {
      const Doubles q = Project(weights_.query_weight, weights_.query_bias, own, h * d, d);
      Doubles back(static_cast<size_t>(e));
      double constant = 0;
      for (int64_t f = 0; f < d; ++f) {
        constant += q[f] * weights_.key_bias[h * d + f];
        const float* weight = weights_.key_weight.data() + (h * d + f) * e;
        for (int64_t i = 0; i < e; ++i) back[i] += q[f] * weight[i];
      }
      const Doubles mean = Mean(x, back, constant);
      const Doubles value = Project(weights_.value_weight, weights_.value_bias, mean, h * d, d);
      context.insert(context.end(), value.begin(), value.end());
    }
    return Project(weights_.output_weight, weights_.output_bias, context, 0, e);
  }

  // Mean of the rows of x with weights softmax(scale * (x back + constant)).
  Doubles Mean(const Doubles& x, const Doubles& back, double constant) const {
    const size_t e = back.size(), n = x.size() / e;
    Doubles p(n, constant), mean(e);
    double max = -std::numeric_limits<double>::infinity(), total = 0;
    for (size_t j = 0; j < n; ++j) {
      for (size_t i = 0; i < e; ++i) p[j] += x[j * e + i] * back[i];
      p[j] *= config_.scale;
      max = std::max(max, p[j]);
    }
    for (size_t j = 0; j < n; ++j) {
      total += p[j] = std::exp(p[j] - max);
      for (size_t i = 0; i < e; ++i) mean[i] += p[j] * x[j * e + i];
    }
    for (double& value : mean) value /= total;
    return mean;
  }

  const DataType type_;
  LayerConfig config_;
  LayerWeights weights_;
  std::unique_ptr<const Layer> layer_;
  Tensor input_, output_;  // [tokens, E]
  AttentionParams params_;
  LayerItem item_;
};

}  // namespace

Work MakeLayer(const nlohmann::json& spec) {
  auto operands = std::make_shared<Operands>(spec);
  Work work;
  work.flops = operands->Flops();
  work.tokens = operands->Tokens();
  work.bfloat16 = TypeOf(spec) == DataType::kBFloat16;
  work.run = [operands](ExecutionContext& context) { operands->Run(context); };
  work.error = [operands] { return operands->Error(); };
  work.max_error = work.bfloat16 ? 2e-2 : 1e-5;
  return work;
}

}  // namespace attend::bench
