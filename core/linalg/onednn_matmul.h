// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_LINALG_ONEDNN_MATMUL_H_
#define ATTEND_CORE_LINALG_ONEDNN_MATMUL_H_

#include <cstddef>
#include <cstdint>
#include <dnnl.hpp>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core/base/aligned_buffer.h"
#include "core/base/mutex.h"
#include "core/tensor/tensor.h"

namespace attend::internal {

// To be used inside core/linalg only: oneDNN's types end here. Functions documented to throw
// throw dnnl::error.

const dnnl::engine& CpuEngine();

dnnl::memory::data_type OneDnnType(DataType type);

struct MatmulShape {
  int64_t rows = 0, inputs = 0, outputs = 0;
  DataType input_type = DataType::kFloat32;  // type of x and W; y and b are float32
};

// A layout of W [inputs, outputs] that leaves the choice to oneDNN.
dnnl::memory::desc AnyLayout(const MatmulShape& shape);

// Whether the layout of W is that of PanelProduct with panels of 64 outputs, with rows of zeros
// after the last input: [outputs / 64][words, rounded up][64]. `outputs` % 64 == 0.
bool LiesInPanels(const MatmulShape& shape, const dnnl::memory::desc& layout);

// One compiled matmul, y = x W + b with contiguous x and y, that any thread may run. The objects
// that one run of oneDNN needs (memory objects, scratchpad) are kept in a list of free sets, so
// that a warm run allocates nothing here and threads do not wait for each other.
class Matmul {
 public:
  // `weights` is a layout made by another Matmul, or AnyLayout. Throws.
  Matmul(const MatmulShape& shape, const dnnl::memory::desc& weights);
  ~Matmul();

  dnnl::memory::desc weights_desc() const { return weights_desc_; }

  // Throws only if a new set has to be made and memory is short.
  void Run(const std::byte* x, const dnnl::memory& weights, const float* bias, float* y) const;

 private:
  struct Operands;
  std::unique_ptr<Operands> Take() const;
  void Give(std::unique_ptr<Operands> operands) const;

  dnnl::matmul primitive_;
  dnnl::memory::desc input_desc_, weights_desc_, bias_desc_, output_desc_, scratch_desc_;
  mutable Mutex mutex_;
  mutable std::vector<std::unique_ptr<Operands>> free_ ABSL_GUARDED_BY(mutex_);
};

// Packs rows of W [outputs, inputs] (float32, contiguous) into `packed`, which has room for
// `layout` and must outlive the returned memory. Throws.
dnnl::memory PackWeights(const float* weight, const MatmulShape& shape,
                         const dnnl::memory::desc& layout, std::byte* packed);

}  // namespace attend::internal

#endif  // ATTEND_CORE_LINALG_ONEDNN_MATMUL_H_
