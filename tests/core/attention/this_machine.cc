// SPDX-License-Identifier: Apache-2.0

// The machine under test is the one that runs the program.

#include "core/attention/attention.h"
#include "tests/core/attention/compare.h"

namespace attend {

const internal::Machine& MachineUnderTest() {
  return internal::ThisMachine();
}

}  // namespace attend
