// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/panel_prefetch.h"

#include <cstring>

#include "core/base/aligned_buffer.h"
#include "core/linalg/panel_kernel.h"

namespace attend {
namespace internal {
namespace {

constexpr int64_t kWords = 1024, kColumnBlocks = 8;
constexpr int64_t kBlockFloats = kColumnBlock * kWords;

// Products of one row and of four with weights in one block of memory. Everything is 0: speed
// does not depend on the numbers.
class FewRowProducts {
 public:
  FewRowProducts()
      : weights_(kColumnBlocks * kBlockFloats * sizeof(float)),
        x_(kWords * sizeof(float)),
        bias_(kColumnBlock * sizeof(float)),
        y_(kColumnBlock * sizeof(float)) {
    std::memset(weights_.data(), 0, weights_.size());
    std::memset(x_.data(), 0, x_.size());
    std::memset(bias_.data(), 0, bias_.size());
  }

  // Seconds of both products when their weights come from memory.
  double Time(const PrefetchPolicy& policy) { return Time(policy, 1) + Time(policy, 4); }

 private:
  double Time(const PrefetchPolicy& policy, int64_t rows) {
    const std::byte* const x[] = {x_.data(), x_.data(), x_.data(), x_.data()};
    std::byte* const y[] = {y_.data(), y_.data(), y_.data(), y_.data()};
    PanelProduct product;
    product.rows = rows;
    product.words = kWords;
    product.x = x;
    product.y = y;
    product.outputs = kColumnBlock;
    product.bias = bias_.as<float>();
    product.prefetch = policy;
    return TimeColdRead(weights_.data(), weights_.size(), [&] {
      for (int64_t block = 0; block < kColumnBlocks; ++block) {
        product.weights = weights_.as<float>() + block * kBlockFloats;
        RunPanelProduct(product);
      }
    });
  }

  AlignedBuffer weights_, x_, bias_, y_;
};

}  // namespace

absl::Span<const PrefetchPolicy> PanelPrefetchCandidates() {
  static constexpr PrefetchPolicy kCandidates[] = {{PrefetchLevel::kFirst, 4096},
                                                   {PrefetchLevel::kNone, 4096},
                                                   {PrefetchLevel::kFirst, 8192},
                                                   {PrefetchLevel::kSecond, 4096},
                                                   {PrefetchLevel::kSecond, 16384}};
  return kCandidates;
}

namespace {

PrefetchPolicy ChoosePanelPrefetch() {
  FewRowProducts products;
  return ChoosePrefetch(PanelPrefetchCandidates(),
                        [&](const PrefetchPolicy& candidate) { return products.Time(candidate); });
}

}  // namespace
}  // namespace internal

const PrefetchPolicy& GetPanelPrefetch() {
  static const PrefetchPolicy policy = internal::ChoosePanelPrefetch();
  return policy;
}

}  // namespace attend
