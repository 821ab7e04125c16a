// Memory, threads and processors, the POSIX way.
#include "base/system.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"

namespace linnet {

void* AllocateAligned(size_t alignment, size_t bytes) {
  void* memory = nullptr;
  return posix_memalign(&memory, alignment, bytes) == 0 ? memory : nullptr;
}

void FreeAligned(void* memory) { free(memory); }

int64_t PageBytes() {
  static const int64_t bytes = sysconf(_SC_PAGESIZE);
  return bytes;
}

void WantLargePages([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes) {
#if defined(MADV_HUGEPAGE)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

void DropPages(void* first, size_t bytes) { madvise(first, bytes, MADV_DONTNEED); }

void* MapZeros(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

void UnmapZeros(void* memory, size_t bytes) { munmap(memory, bytes); }

int AroundForks(void (*before)(), void (*in_parent)(), void (*in_child)()) { return pthread_atfork(before, in_parent, in_child); }

bool StartThread(pthread_t* thread, void* (*function)(void*), void* argument, size_t stack_bytes) {
  pthread_attr_t attr;
  if (pthread_attr_init(&attr) != 0) return false;
  pthread_attr_setstacksize(&attr, std::max(stack_bytes, static_cast<size_t>(PTHREAD_STACK_MIN)));
  sigset_t blocked, before;
  sigfillset(&blocked);
  // Faults, and profiling.
  for (int kept : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF}) sigdelset(&blocked, kept);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  const bool started = pthread_create(thread, &attr, function, argument) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attr);
#if defined(__linux__)
  if (started) pthread_setname_np(*thread, "linnet");
#endif
  return started;
}

int CurrentCpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

bool LeaveCpu([[maybe_unused]] int cpu) {
#if defined(__linux__)
  cpu_set_t allowed, others;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || cpu >= CPU_SETSIZE) return false;
  others = allowed;
  CPU_CLR(cpu, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof(others), &others) != 0) return false;
  sched_setaffinity(0, sizeof(allowed), &allowed);
  return true;
#else
  return false;
#endif
}

std::string FileIdentity(const std::string& path) {
  struct stat info;
  struct timespec now;
  if (stat(path.c_str(), &info) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return "";
#if defined(__APPLE__)
  const struct timespec &written = info.st_mtimespec, &changed = info.st_ctimespec;
#else
  const struct timespec &written = info.st_mtim, &changed = info.st_ctim;
#endif
  constexpr int kSettledSeconds = 2;
  if (changed.tv_sec > now.tv_sec - kSettledSeconds || written.tv_sec > now.tv_sec - kSettledSeconds) return "";
  return Cat("file ", static_cast<uint64_t>(info.st_dev), " ", static_cast<uint64_t>(info.st_ino), " ", int64_t{info.st_size}, " ",
             int64_t{written.tv_sec}, ".", int64_t{written.tv_nsec}, " ", int64_t{changed.tv_sec}, ".", int64_t{changed.tv_nsec});
}

bool FileExists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }
void MakePrivateFolder(const std::string& path) { mkdir(path.c_str(), 0700); }
int64_t ProcessId() { return getpid(); }

void WriteStandardError(std::string_view text) {
  ssize_t ignored = write(STDERR_FILENO, text.data(), text.size());
  (void)ignored;
}

size_t NameBegin(std::string_view path) { return path.rfind('/') + 1; }

}  // namespace linnet
