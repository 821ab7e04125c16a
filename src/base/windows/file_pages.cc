// Mapping pages ahead of their use, on Windows.
#include "base/file_pages.h"

#include <windows.h>

namespace linnet {

void PopulatePages(const void* data, int64_t bytes) {
  WIN32_MEMORY_RANGE_ENTRY range = {const_cast<void*>(data), static_cast<SIZE_T>(bytes)};
  PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

}  // namespace linnet
