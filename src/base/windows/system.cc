// Memory, threads and processors of Windows. Threads are those of the compiler's POSIX layer (winpthreads).
#include "base/system.h"

#include <direct.h>
#include <io.h>
#include <malloc.h>
#include <stdio.h>
#include <windows.h>

#include <algorithm>

#include "base/windows/names.h"

namespace linnet {

void* AllocateAligned(size_t alignment, size_t bytes) { return _aligned_malloc(bytes, alignment); }
void FreeAligned(void* memory) { _aligned_free(memory); }

int64_t PageBytes() {
  static const int64_t bytes = [] {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return static_cast<int64_t>(info.dwPageSize);
  }();
  return bytes;
}

// Large pages need a privilege here.
void WantLargePages(void*, size_t) {}

// Unlocking pages that are not locked takes them out of the working set, and is reported as a failure.
void DropPages(void* first, size_t bytes) { VirtualUnlock(first, bytes); }

void* MapZeros(size_t bytes) { return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READONLY); }
void UnmapZeros(void* memory, size_t) { VirtualFree(memory, 0, MEM_RELEASE); }

int AroundForks(void (*)(), void (*)(), void (*)()) { return 0; }

bool StartThread(pthread_t* thread, void* (*function)(void*), void* argument, size_t stack_bytes) {
  pthread_attr_t attr;
  if (pthread_attr_init(&attr) != 0) return false;
  pthread_attr_setstacksize(&attr, stack_bytes);
  const bool started = pthread_create(thread, &attr, function, argument) == 0;
  pthread_attr_destroy(&attr);
  return started;
}

int CurrentCpu() { return static_cast<int>(GetCurrentProcessorNumber()); }

bool LeaveCpu(int cpu) {
  DWORD_PTR process = 0, system = 0;
  if (cpu < 0 || cpu >= static_cast<int>(sizeof(DWORD_PTR)) * 8 || !GetProcessAffinityMask(GetCurrentProcess(), &process, &system)) return false;
  const DWORD_PTR others = process & ~(DWORD_PTR{1} << cpu);
  if (others == 0 || SetThreadAffinityMask(GetCurrentThread(), others) == 0) return false;
  SetThreadAffinityMask(GetCurrentThread(), process);
  return true;
}

// What the system tells changes too coarsely on some of its file systems.
std::string FileIdentity(const std::string&) { return ""; }

bool FileExists(const std::string& path) { return GetFileAttributesW(WideName(path).c_str()) != INVALID_FILE_ATTRIBUTES; }
void MakePrivateFolder(const std::string& path) { _wmkdir(WideName(path).c_str()); }
int64_t ProcessId() { return GetCurrentProcessId(); }
void WriteStandardError(std::string_view text) { _write(2, text.data(), static_cast<unsigned>(text.size())); }

size_t NameBegin(std::string_view path) { return path.find_last_of("/\\:") + 1; }

}  // namespace linnet
