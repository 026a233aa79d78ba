// SPDX-License-Identifier: Apache-2.0
#include "core/attention/rates.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace attend {
namespace {

std::string DescribeKernel(const KernelRates& rates) {
  return absl::StrFormat("%.3g+%.3g", rates.multiply_add * 1e12, rates.score * 1e12);
}

}  // namespace

std::string ToString(const AttentionRates& rates) {
  std::string text = absl::StrCat("picoseconds per multiply-add + per score: prefill ",
                                  DescribeKernel(rates.prefill[0]), " float32");
  const auto append = [&](const char* name, const KernelRates& kernel) {
    if (kernel.score > 0.0) absl::StrAppend(&text, ", ", DescribeKernel(kernel), name);
  };
  append(" bfloat16", rates.prefill[1]);
  append(" amx", rates.prefill[2]);
  absl::StrAppend(&text, "; decode ", DescribeKernel(rates.decode[0]), " float32");
  append(" bfloat16", rates.decode[1]);
  absl::StrAppendFormat(&text, "; conversion %.3g+%.3g", rates.convert_feature * 1e12,
                        rates.convert_row * 1e12);
  absl::StrAppendFormat(&text, "; memory %.3g GB/s, all cores %.3g GB/s, recent data %.3g GB/s",
                        1e-9 / rates.memory_byte, 1e-9 / rates.shared_memory_byte,
                        1e-9 / rates.recent_byte);
  return text;
}

namespace internal {

int64_t CountVectorLanes(const CpuFeatures& cpu) {
  return cpu.avx512 ? 16 : cpu.avx2 ? 8 : 4;
}

KernelRates FitKernelRates(const KernelTimes& times) {
  KernelRates rates;
  const double difference = times.wide_seconds - times.narrow_seconds;
  const double multiply_adds = times.wide_multiply_adds - times.narrow_multiply_adds;
  rates.multiply_add = std::max(difference, 0.0) / multiply_adds;
  const double narrow = rates.multiply_add * times.narrow_multiply_adds;
  // Noise could leave nothing for scores, which always take some of the time.
  rates.score = std::max(times.narrow_seconds - narrow, 0.1 * times.narrow_seconds) / times.scores;
  return rates;
}

}  // namespace internal
}  // namespace attend
