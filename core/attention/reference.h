// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ATTENTION_REFERENCE_H_
#define ATTEND_CORE_ATTENTION_REFERENCE_H_

#include "core/attention/problem.h"

namespace attend {

// Computes the problem in double, row by row, written for reading: the definition that kernels
// are tested against. Reads inputs as they are stored and rounds once, to the output's type.
// Thread-safe; allocates; slow.
void ReferenceAttention(const AttentionProblem& problem);

}  // namespace attend

#endif  // ATTEND_CORE_ATTENTION_REFERENCE_H_
