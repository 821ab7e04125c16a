#include "guarded.h"

#if defined(_WIN32)
#define NOMINMAX
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace linnet {

#if defined(_WIN32)

size_t TestPageBytes() {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwPageSize;
}

char* MapBetweenGuards(size_t bytes) {
  const size_t page = TestPageBytes();
  char* base = static_cast<char*>(VirtualAlloc(nullptr, bytes + 2 * page, MEM_RESERVE, PAGE_NOACCESS));
  if (base && bytes > 0) VirtualAlloc(base + page, bytes, MEM_COMMIT, PAGE_READWRITE);
  return base + page;
}

void UnmapBetweenGuards(char* memory, size_t) { VirtualFree(memory - TestPageBytes(), 0, MEM_RELEASE); }

#else

size_t TestPageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

char* MapBetweenGuards(size_t bytes) {
  const size_t page = TestPageBytes();
  char* base = static_cast<char*>(mmap(nullptr, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(base + page, bytes, PROT_READ | PROT_WRITE);
  return base + page;
}

void UnmapBetweenGuards(char* memory, size_t bytes) {
  const size_t page = TestPageBytes();
  munmap(memory - page, bytes + 2 * page);
}

#endif

}  // namespace linnet
