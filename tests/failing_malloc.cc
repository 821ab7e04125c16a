// Stands before glibc's allocator in the test program.
#include "failing_malloc.h"

#include <errno.h>
#include <stddef.h>

#include <atomic>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define LINNET_OWN_MALLOC 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define LINNET_OWN_MALLOC 0
#elif !defined(LINNET_OWN_MALLOC)
#define LINNET_OWN_MALLOC 1
#endif

namespace linnet {
namespace {

constexpr int64_t kNever = INT64_MAX;
std::atomic<int64_t> countdown{kNever};
std::atomic<int64_t> failures_wanted{0}, failures{0};

[[maybe_unused]] bool FailsNow() {
  if (countdown.load(std::memory_order_relaxed) == kNever) return false;
  int64_t left = countdown.fetch_sub(1, std::memory_order_relaxed);
  if (left > 0 || left < -failures_wanted.load(std::memory_order_relaxed)) return false;
  failures.fetch_add(1, std::memory_order_relaxed);
  errno = ENOMEM;
  return true;
}

}  // namespace

bool CanFailAllocations() { return LINNET_OWN_MALLOC; }
void FailAllocation(int64_t n, int64_t more) {
  failures = 0;
  failures_wanted = more;
  countdown = n;
}
bool StopFailingAllocations() {
  countdown = kNever;
  return failures.load() > 0;
}

}  // namespace linnet

#if LINNET_OWN_MALLOC
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) { return linnet::FailsNow() ? nullptr : __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) { return linnet::FailsNow() ? nullptr : __libc_calloc(count, bytes); }
void* realloc(void* memory, size_t bytes) { return linnet::FailsNow() ? nullptr : __libc_realloc(memory, bytes); }
void* memalign(size_t alignment, size_t bytes) { return linnet::FailsNow() ? nullptr : __libc_memalign(alignment, bytes); }
void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  void* got = memalign(alignment, bytes);
  if (!got) return ENOMEM;
  *memory = got;
  return 0;
}
}
#endif
