// Mapping pages ahead of their use, the POSIX way.
#include "base/file_pages.h"

#include <sys/mman.h>
#include <unistd.h>

namespace linnet {

void PopulatePages(const void* data, int64_t bytes) {
#if defined(__linux__)
#if defined(MADV_POPULATE_READ)
  constexpr int kPopulateRead = MADV_POPULATE_READ;
#else
  constexpr int kPopulateRead = 22;  // since Linux 5.14; older ones refuse it
#endif
  static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = reinterpret_cast<uintptr_t>(data) / page * page;
  madvise(reinterpret_cast<void*>(first), reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(bytes) - first, kPopulateRead);
#endif
}

}  // namespace linnet
