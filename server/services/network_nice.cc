// SPDX-License-Identifier: Apache-2.0
#include "server/services/network_nice.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace attend {

void SetNetworkNice(int nice) {
  thread_local int current = 0;
  if (nice == current) return;
  current = nice;
  // On Linux the nice value is one of each thread.
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), nice);
}

}  // namespace attend
