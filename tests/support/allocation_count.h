// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_SUPPORT_ALLOCATION_COUNT_H_
#define ATTEND_TESTS_SUPPORT_ALLOCATION_COUNT_H_

#include <cstddef>

namespace attend {

// How often the calling thread has called operator new. For programs that are built with
// allocation_count.cc, which replaces the operator.
size_t AllocationCount();

}  // namespace attend

#endif  // ATTEND_TESTS_SUPPORT_ALLOCATION_COUNT_H_
