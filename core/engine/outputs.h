// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CORE_ENGINE_OUTPUTS_H_
#define ATTEND_CORE_ENGINE_OUTPUTS_H_

#include <cstddef>
#include <cstdint>

#include "core/attention/problem.h"
#include "core/engine/checked_request.h"
#include "core/engine/request.h"

namespace attend {

// The tensors of a response: output, and weights and log-sum-exp if requested.

// The bytes of these tensors.
int64_t CountOutputBytes(const CheckedRequest& checked);

// Allocates these tensors, uninitialised. Throws std::bad_alloc as operator new does.
void AllocateOutputs(const CheckedRequest& checked, Response& response);

// Points a copy of the arguments of sequence `index` to its weights and its log-sum-exp in an
// allocated response, and fills the padding around both: weights with 0 if they are
// probabilities and with -inf if they are scores, the log-sum-exp with -inf.
void BindOutputs(const CheckedRequest& checked, int64_t index, Response& response,
                 SequenceArgs& sequence);

// Sets the rows [length, rows) of one head or sequence to 0.
void ZeroRows(std::byte* data, int64_t length, int64_t rows, size_t row_bytes);

}  // namespace attend

#endif  // ATTEND_CORE_ENGINE_OUTPUTS_H_
