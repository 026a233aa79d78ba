// SPDX-License-Identifier: Apache-2.0
#include "core/linalg/onednn_matmul.h"

#include <omp.h>

#include <new>
#include <utility>

namespace attend::internal {
namespace {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

dnnl::matmul::primitive_desc MakePrimitiveDesc(const Desc& input, const Desc& weights,
                                               const Desc& bias, const Desc& output,
                                               const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::matmul::primitive_desc(CpuEngine(), input, weights, bias, output, attributes);
#else
  return dnnl::matmul::primitive_desc(dnnl::matmul::desc(input, weights, bias, output), attributes,
                                      CpuEngine());
#endif
}

// oneDNN is an OpenMP build. Our own pool distributes the work, so each of its threads must stay
// alone. The setting is per thread and costs a store.
void StayOnThisThread() {
  omp_set_num_threads(1);
}

// For a matmul that ran when the weights were packed: memory may have run out since.
[[noreturn]] void Fail(dnnl_status_t status) {
  if (status == dnnl_out_of_memory) throw std::bad_alloc();
  throw dnnl::error(status, "oneDNN failed to run a matmul");
}

}  // namespace

const dnnl::engine& CpuEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::memory::data_type OneDnnType(DataType type) {
  return type == DataType::kBFloat16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

Desc AnyLayout(const MatmulShape& shape) {
  return {
      {shape.inputs, shape.outputs}, OneDnnType(shape.input_type), dnnl::memory::format_tag::any};
}

bool LiesInPanels(const MatmulShape& shape, const Desc& layout) {
  const bool pairs = shape.input_type == DataType::kBFloat16;
  using Tag = dnnl::memory::format_tag;
  const Desc panels({shape.inputs, shape.outputs}, OneDnnType(shape.input_type),
                    pairs ? Tag::BA16a64b2a : Tag::BA16a64b);
  return layout == panels;
}

struct Matmul::Operands {
  explicit Operands(const Matmul& matmul)
      : stream(CpuEngine()),
        input(matmul.input_desc_, CpuEngine(), nullptr),
        bias(matmul.bias_desc_, CpuEngine(), nullptr),
        output(matmul.output_desc_, CpuEngine(), nullptr),
        scratch(matmul.scratch_desc_.get_size()),
        scratchpad(matmul.scratch_desc_, CpuEngine(), scratch.data()) {}

  dnnl::stream stream;
  dnnl::memory input, bias, output;
  AlignedBuffer scratch;
  dnnl::memory scratchpad;
};

Matmul::Matmul(const MatmulShape& shape, const Desc& weights)
    : input_desc_({shape.rows, shape.inputs}, OneDnnType(shape.input_type), Dims{shape.inputs, 1}),
      bias_desc_({1, shape.outputs}, dnnl::memory::data_type::f32, Dims{shape.outputs, 1}),
      output_desc_({shape.rows, shape.outputs}, dnnl::memory::data_type::f32,
                   Dims{shape.outputs, 1}) {
  // A primitive is made for the number of threads that this thread may use.
  StayOnThisThread();
  dnnl::primitive_attr attributes;
  // A library scratchpad would belong to the thread that made the primitive.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const auto description =
      MakePrimitiveDesc(input_desc_, weights, bias_desc_, output_desc_, attributes);
  weights_desc_ = description.weights_desc();
  scratch_desc_ = description.scratchpad_desc();
  primitive_ = dnnl::matmul(description);
}

Matmul::~Matmul() = default;

std::unique_ptr<Matmul::Operands> Matmul::Take() const {
  {
    MutexLock lock(mutex_);
    if (!free_.empty()) {
      std::unique_ptr<Operands> operands = std::move(free_.back());
      free_.pop_back();
      return operands;
    }
  }
  try {
    return std::make_unique<Operands>(*this);
  } catch (const dnnl::error& error) {
    Fail(error.status);
  }
}

void Matmul::Give(std::unique_ptr<Operands> operands) const {
  MutexLock lock(mutex_);
  free_.push_back(std::move(operands));
}

void Matmul::Run(const std::byte* x, const dnnl::memory& weights, const float* bias,
                 float* y) const {
  StayOnThisThread();
  std::unique_ptr<Operands> operands = Take();
  operands->input.set_data_handle(const_cast<std::byte*>(x));
  operands->output.set_data_handle(y);
  operands->bias.set_data_handle(const_cast<float*>(bias));
  // Uses the C interface: the C++ one builds a map of its arguments on each call.
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_SRC, operands->input.get()},
      {DNNL_ARG_WEIGHTS, weights.get()},
      {DNNL_ARG_BIAS, operands->bias.get()},
      {DNNL_ARG_DST, operands->output.get()},
      {DNNL_ARG_SCRATCHPAD, operands->scratchpad.get()},
  };
  const dnnl_status_t status =
      dnnl_primitive_execute(primitive_.get(), operands->stream.get(), 5, arguments);
  if (status != dnnl_success) Fail(status);
  Give(std::move(operands));
}

dnnl::memory PackWeights(const float* weight, const MatmulShape& shape, const Desc& layout,
                         std::byte* packed) {
  StayOnThisThread();
  // W [outputs, inputs] row-major is the matrix [inputs, outputs] column-major.
  const Desc plain({shape.inputs, shape.outputs}, dnnl::memory::data_type::f32,
                   Dims{1, shape.inputs});
  dnnl::memory source(plain, CpuEngine(), const_cast<float*>(weight));
  dnnl::memory destination(layout, CpuEngine(), packed);
  dnnl::stream stream(CpuEngine());
  dnnl::reorder(source, destination).execute(stream, source, destination);
  stream.wait();
  return destination;
}

}  // namespace attend::internal
