// How many processors this process may use, on Windows: its affinity.
#include <windows.h>

#include <algorithm>

#include "base/thread_pool.h"

namespace linnet {

int ThreadPool::HardwareThreads() {
  DWORD_PTR process = 0, system = 0;
  int count = 0;
  if (GetProcessAffinityMask(GetCurrentProcess(), &process, &system)) count = __builtin_popcountll(process);
  return std::clamp(count, 1, kThreadsMax);
}

/// There are no control groups.
int CgroupQuotaThreads(std::string_view, std::string_view) { return 0; }

}  // namespace linnet
