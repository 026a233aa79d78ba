// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/freed_memory.h"

#include <malloc.h>

namespace attend {

void BoundFreedMemory() {
#ifdef __GLIBC__
  // Blocks from here on are mapped and unmapped, one by one. The page faults
  // cost about 0.2 ms/MiB: nothing beside the computation on that many bytes.
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  // What an arena may keep at its end for smaller blocks.
  mallopt(M_TRIM_THRESHOLD, 16 << 20);
#endif
}

}  // namespace attend
