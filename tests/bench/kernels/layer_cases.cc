// Whole layers, projections included, float32 inputs.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/base/cpu.h"
#include "core/layer/layer.h"
#include "tests/bench/kernels/harness.h"

namespace attend::bench {
namespace {

struct Shape {
  int64_t sequences, length, embed, heads;
  ComputeType compute;
};

std::vector<float> Normal(int64_t count, float scale, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

double Dot(const float* a, const float* b, int64_t n) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int j = 0; j < 8; ++j) sums[j] += static_cast<double>(a[i + j]) * b[i + j];
  }
  for (; i < n; ++i) sums[0] += static_cast<double>(a[i]) * b[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// A layer of E = H * D with its inputs and outputs.
struct Operands {
  Shape shape;
  LayerWeights weights;
  LayerConfig config;
  std::unique_ptr<const Layer> layer;
  std::vector<float> input, output;
  LayerItem item;

  explicit Operands(const Shape& s) : shape(s) {
    const int64_t e = s.embed;
    const float scale = 1.0f / std::sqrt(static_cast<float>(e));
    config.name = "bench";
    config.embed_dim = config.key_dim = config.value_dim = e;
    config.num_heads = config.num_kv_heads = s.heads;
    config.head_dim = config.value_head_dim = e / s.heads;
    config.scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
    config.compute = s.compute;
    weights.query_weight = Normal(e * e, scale, 1);
    weights.key_weight = Normal(e * e, scale, 2);
    weights.value_weight = Normal(e * e, scale, 3);
    weights.output_weight = Normal(e * e, scale, 4);
    weights.query_bias = weights.key_bias = weights.value_bias = weights.output_bias =
        Normal(e, 0.1f, 5);
    auto made = Layer::Create(config, weights);
    if (!made.ok()) {
      std::fprintf(stderr, "%s\n", std::string(made.status().message()).c_str());
      std::exit(1);
    }
    layer = std::move(made).value();
    input = Normal(s.sequences * s.length * e, 1.0f, 6);
    output.resize(input.size());
    item.scale = config.scale;
    for (int64_t i = 0; i < s.sequences; ++i) {
      LayerSequence& sequence = item.sequences.emplace_back();
      sequence.query_length = sequence.key_length = s.length;
      sequence.query = sequence.key = sequence.value =
          reinterpret_cast<const std::byte*>(input.data() + i * s.length * e);
      sequence.output = reinterpret_cast<std::byte*>(output.data() + i * s.length * e);
    }
  }

  std::vector<double> Project(const float* rows, int64_t count, const std::vector<float>& weight,
                              const std::vector<float>& bias) const {
    const int64_t e = shape.embed;
    std::vector<double> y(count * e);
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t o = 0; o < e; ++o) {
        y[r * e + o] = bias[o] + Dot(rows + r * e, weight.data() + o * e, e);
      }
    }
    return y;
  }

  // The first and the last row of the last sequence against double.
  double Error() const {
    const int64_t e = shape.embed, d = config.head_dim, n = shape.length;
    const float* x = input.data() + (shape.sequences - 1) * n * e;
    const std::vector<double> k = Project(x, n, weights.key_weight, weights.key_bias);
    const std::vector<double> v = Project(x, n, weights.value_weight, weights.value_bias);
    double difference = 0, norm = 0;
    for (const int64_t row : {int64_t{0}, n - 1}) {
      const std::vector<double> q =
          Project(x + row * e, 1, weights.query_weight, weights.query_bias);
      std::vector<float> context(e);
      for (int64_t h = 0; h < shape.heads; ++h) {
        std::vector<double> p(n), sum(d);
        double max = -1e300, z = 0;
        for (int64_t j = 0; j < n; ++j) {
          for (int64_t f = 0; f < d; ++f) p[j] += q[h * d + f] * k[j * e + h * d + f];
          p[j] *= config.scale;
          max = std::max(max, p[j]);
        }
        for (int64_t j = 0; j < n; ++j) {
          z += p[j] = std::exp(p[j] - max);
          for (int64_t f = 0; f < d; ++f) sum[f] += p[j] * v[j * e + h * d + f];
        }
        for (int64_t f = 0; f < d; ++f) context[h * d + f] = static_cast<float>(sum[f] / z);
      }
      const std::vector<double> truth =
          Project(context.data(), 1, weights.output_weight, weights.output_bias);
      const float* got = output.data() + ((shape.sequences - 1) * n + row) * e;
      for (int64_t o = 0; o < e; ++o) {
        difference += std::pow(got[o] - truth[o], 2);
        norm += std::pow(truth[o], 2);
      }
    }
    return std::sqrt(difference / norm);
  }
};

Work Make(const Shape& shape) {
  auto operands = std::make_shared<Operands>(shape);
  Work work;
  work.flops = operands->layer->Flops(operands->item);
  work.tokens = static_cast<double>(shape.sequences * shape.length);
  work.bfloat16 = shape.compute == ComputeType::kBFloat16;
  work.run = [operands](WorkerPool& pool) {
    const LayerItem* items[] = {&operands->item};
    operands->layer->Run(items, pool);
  };
  work.error = [operands] { return operands->Error(); };
  work.max_error = work.bfloat16 ? 2e-2 : 1e-5;
  return work;
}

}  // namespace

std::vector<Case> LayerCases() {
  std::vector<Case> cases;
  for (const ComputeType compute : {ComputeType::kFloat32, ComputeType::kBFloat16}) {
    if (compute == ComputeType::kBFloat16 && !GetCpuFeatures().avx512) continue;
    for (const auto& [sequences, length] :
         {std::pair<int64_t, int64_t>{1, 16}, {1, 128}, {8, 128}, {32, 32}, {1, 512}, {1, 2048}}) {
      const Shape shape{sequences, length, 768, 12, compute};
      cases.push_back({absl::StrCat("layer", compute == ComputeType::kFloat32 ? " f32 " : " bf16 ",
                                    sequences, "x", length, " E=768 H=12"),
                       [shape] { return Make(shape); }});
    }
  }
  return cases;
}

}  // namespace attend::bench
